"""Pictures as the `src` of an image in a self-contained page."""

import base64
import io

from PIL import Image


def png(image: Image.Image) -> str:
    """A picture without loss."""
    return _encoded(image, "PNG")


def jpeg(image: Image.Image) -> str:
    """A photograph."""
    return _encoded(image.convert("RGB"), "JPEG")


def data_uri(kind: str, content: bytes) -> str:
    """Content of that media type, as an address."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _encoded(image: Image.Image, form: str) -> str:
    buffer = io.BytesIO()
    image.save(buffer, form)
    return data_uri(f"image/{form.lower()}", buffer.getvalue())
