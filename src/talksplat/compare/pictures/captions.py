"""Text that fits: names are shortened in the middle, where long ones differ least."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

ELLIPSIS = "…"
MAX_NAME = 48  # letters of a name in a legend
JPEG_QUALITY = 88
WHITE = (255, 255, 255)


def shorten(text: str, fits: Callable[[str], bool] = lambda text: len(text) <= MAX_NAME) -> str:
    """The text, or as much of its two ends as fits around an ellipsis; only the ellipsis where nothing does."""
    if fits(text):
        return text
    for kept in range(len(text) - 1, 0, -1):
        candidate = text[: (kept + 1) // 2] + ELLIPSIS + text[len(text) - kept // 2 :]
        if fits(candidate):
            return candidate
    return ELLIPSIS


def font_size(width: int) -> int:
    """Size of letters, in pixels, in pictures of this width."""
    return min(max(width // 20, 10), 22)


def title_height(size: int) -> int:
    """Height of a line of text, in pixels; even, as video wants it."""
    return 2 * round(0.85 * size)


def write_text(image: UInt8[np.ndarray, "height width 3"], text: str, left: int, top: int, size: int) -> None:
    """White letters into the image, in one line that ends before its right side."""
    font = _font(size)
    text = shorten(text, lambda part: left + font.getlength(part) <= image.shape[1] - 2)
    picture = Image.fromarray(image)
    ImageDraw.Draw(picture).text((left, top), text, WHITE, font)
    image[:] = np.asarray(picture)


def title_line(text: str, width: int, size: int) -> UInt8[np.ndarray, "height width 3"]:
    """White text on black, as high as `title_height` says."""
    line = np.zeros((title_height(size), width, 3), np.uint8)
    write_text(line, text, 4, round(0.2 * size), size)
    return line


def jpeg(image: UInt8[np.ndarray, "height width 3"]) -> bytes:
    """A file small enough to become part of a page."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    # Comes with matplotlib on every machine, and has letters that OpenCV's fonts lack.
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), size)
