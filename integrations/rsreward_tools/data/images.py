"""Images of a data set: opened for a model that is here, or as a message to one behind an endpoint."""

import base64
import mimetypes
from pathlib import Path
from typing import Any

from PIL import Image

from ..errors import InputError


def open_image(path: Path) -> Image.Image:
    """The image in RGB.

    Raises:
        InputError: if there is none, or it cannot be read.
    """
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except OSError as error:
        raise InputError(f"the image {path} cannot be read: {error}. Are --images and the download right?") from None


def chat(path: Path, text: str) -> list[Any]:
    """The messages that show an image and say a text, in the chat-completions protocol.

    Raises:
        InputError: if there is no such image.
    """
    kind = mimetypes.guess_type(path.name)[0] or "image/jpeg"
    try:
        data = base64.b64encode(path.read_bytes()).decode()
    except OSError as error:
        raise InputError(f"the image {path} cannot be read: {error.strerror}. Is --images right?") from None
    return [
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": f"data:{kind};base64,{data}"}},
                {"type": "text", "text": text},
            ],
        }
    ]
