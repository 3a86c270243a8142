"""Images of a data set: opened for a model that is here, or as a message to one behind an endpoint.

Everywhere in this package an image is turned as its EXIF orientation says. Sizes and boxes are those of the turned
image.
"""

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from ..errors import InputError
from ..files import regular_file

ORIENTATION = 0x0112  # the EXIF tag; 5 to 8 exchange width and height
SENT = ("JPEG", "PNG", "WEBP")  # what servers and trainers read
CUT = (2.0, 98.0)  # percentiles of an image's values that become black and white


def open_image(path: Path) -> Image.Image:
    """The image in RGB, turned as its EXIF says. Values of 16 or 32 bits, or floats, are scaled by `to_8_bits`.

    Raises:
        InputError: if there is no image, it is truncated, or it has colours of 16 bits, which Pillow cuts to 8.
    """
    with _opened(path) as image:
        return _as_rgb(image)


def image_size(path: Path) -> tuple[int, int]:
    """Width and height of the turned image, from the file's header.

    Raises:
        InputError: if there is no image, or its header cannot be read.
    """
    with _opened(path) as image:
        width, height = image.size
        return (height, width) if _orientation(image) >= 5 else (width, height)


def image_bytes(path: Path) -> tuple[bytes, str]:
    """The bytes of a file that every program shows alike, and its format.

    The file itself if it is an upright JPEG, PNG or WebP of 8 bits, else a PNG of `open_image`.

    Raises:
        InputError: as in `open_image`.
    """
    with _opened(path) as image:
        if shown_alike(image):
            check_whole(image)
            return path.read_bytes(), str(image.format)
        png = io.BytesIO()
        _as_rgb(image).save(png, "PNG")
        return png.getvalue(), "PNG"


def check_image(path: Path) -> None:
    """Refuse an image that is missing or truncated, or that other programs show in another way.

    Raises:
        InputError: naming it.
    """
    with _opened(path) as image:
        if not _is_8_bits(image):
            raise InputError(f"the image {path} has more than 8 bits a value: embed it, or save it with 8 bits.")
        check_whole(image)


def chat(path: Path, text: str) -> list[Any]:
    """The messages that show an image and say a text, in the chat-completions protocol.

    Raises:
        InputError: if there is no such image, or it is truncated.
    """
    data, kind = image_bytes(path)
    url = f"data:image/{kind.lower()};base64,{base64.b64encode(data).decode()}"
    content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": text}]
    return [{"role": "user", "content": content}]


def to_8_bits(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Values of any range as 0 to 255: the 2nd percentile becomes 0, the 98th 255, what lies between is linear.

    This is the usual stretch of geographic information systems. If the two percentiles are equal, the least and the
    greatest value take their places. Values that are not finite become 0.

    >>> to_8_bits(np.array([[0, 2048, 4095]], dtype=np.uint16))
    array([[  0, 127, 255]], dtype=uint8)
    """
    finite = np.isfinite(values)
    known = values[finite].astype(np.float64)
    if not known.size:
        return np.zeros(values.shape, np.uint8)
    low, high = np.percentile(known, CUT)
    if low == high:
        low, high = known.min(), known.max()
    scaled = np.zeros(values.shape)
    if low < high:
        scaled[finite] = np.clip((known - low) * (255 / (high - low)), 0, 255)
    return scaled.astype(np.uint8)


def shown_alike(image: Image.Image) -> bool:
    """Whether any program shows the file as `open_image` does."""
    return image.format in SENT and _is_8_bits(image) and _orientation(image) == 1


def check_whole(image: Image.Image) -> None:
    """Decode an image, which raises an error if it is truncated. A JPEG is decoded at an eighth of its size: faster."""
    image.draft(image.mode, (image.width // 8, image.height // 8))
    image.load()


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    if not regular_file(path).is_file():
        raise InputError(f"there is no image {path}. Is --images right?")
    try:
        with Image.open(path) as image:
            if image.format == "TIFF" and _orientation(image) >= 5:
                raise InputError(f"the image {path} is a TIFF that lies on its side: save it upright.")
            yield image
    except InputError:
        raise
    except Image.DecompressionBombError:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise InputError(f"the image {path} has more than {most:,} pixels: cut it into tiles.") from None
    except Exception as error:  # a damaged image raises whatever it likes
        raise InputError(f"the image {path} cannot be read: {error}. Are --images and the download right?") from None


def _as_rgb(image: Image.Image) -> Image.Image:
    if _has_deep_colours(image):
        raise InputError(
            f"the image {image.filename} has colours of 16 bits, which cannot be scaled here: save it with 8 bits, "  # type: ignore[attr-defined]
            "such as with gdal_translate -ot Byte -scale."
        )
    deep = not _is_8_bits(image)
    image.load()  # a TIFF is turned by Pillow itself as it is loaded
    turned = ImageOps.exif_transpose(image)
    return (Image.fromarray(to_8_bits(np.asarray(turned))) if deep else turned).convert("RGB")


def _orientation(image: Image.Image) -> int:
    value = image.getexif().get(ORIENTATION, 1)
    return value if value in range(1, 9) else 1


def _is_8_bits(image: Image.Image) -> bool:
    return not image.mode.startswith(("I", "F")) and not _has_deep_colours(image)


def _has_deep_colours(image: Image.Image) -> bool:
    """Whether there are several bands of 16 bits. Pillow keeps the upper 8, so that a 12-bit scene becomes black."""
    packed = any(";16" in str(tile[3]) for tile in image.tile)  # type: ignore[attr-defined]
    return packed and not image.mode.startswith(("I", "F"))
