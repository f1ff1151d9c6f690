"""Images on disk: complete decoding or an error that names the file."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from talksplat.errors import UserError

# Quality 98 without chroma subsampling: lips are small and red, and 4:2:0 blurs exactly their colour.
JPEG_PARAMETERS = (
    cv2.IMWRITE_JPEG_QUALITY,
    98,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
)
MEND = "copy it again from where the subject folder came from, or preprocess the video again"


def _is_complete(data: bytes, suffix: str) -> bool:
    """Decoders fill what a cut file lacks with grey; its end marker tells (neither marker can occur in JPEG data)."""
    if suffix == ".png":
        return data.rfind(b"IEND") > 0
    return data.rfind(b"\xff\xd9") > data.rfind(b"\xff\xda") > 0


ORIGINAL_SUFFIXES = (".jpg", ".png", ".jpeg")


def original_path(root: Path, frame_id: int) -> Path:
    """The frame `ori_imgs/{frame_id}`: a JPEG in the shared layout, a PNG in some folders; the former if neither is."""
    paths = [root / "ori_imgs" / f"{frame_id}{suffix}" for suffix in ORIGINAL_SUFFIXES]
    return next((path for path in paths if path.is_file()), paths[0])


def read_image(path: Path, width: int, height: int, channels: int) -> UInt8[np.ndarray, "height width channel"]:
    """A JPEG or PNG of exactly this size, as RGB (3 channels) or RGBA (4).

    Raises UserError naming the file if it is missing, cut short, unreadable or of another size.
    """
    image = decode_image(path, channels)
    if image.shape[:2] != (height, width):
        found = f"{image.shape[1]}x{image.shape[0]}"
        raise UserError(f"{path} is {found} pixels but this subject is {width}x{height}: {MEND}")
    return image


def decode_image(path: Path, channels: int = 3) -> UInt8[np.ndarray, "height width channel"]:
    """A JPEG or PNG of any size, as RGB or RGBA. Raises UserError as `read_image` does."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path} is missing: {MEND}") from None
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}): {MEND}") from error
    if not _is_complete(data, path.suffix.lower()):
        raise UserError(f"{path} is cut short or no image ({len(data)} bytes): {MEND}")
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED if channels == 4 else cv2.IMREAD_COLOR)
    if image is None or image.dtype != np.uint8:
        raise UserError(f"{path} is not a readable 8-bit image: {MEND}")
    if channels == 4 and (image.ndim != 3 or image.shape[2] != 4):
        raise UserError(f"{path} has no alpha channel, but torso images are RGBA: {MEND}")
    return cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA if channels == 4 else cv2.COLOR_BGR2RGB)


def encode_image(image: UInt8[np.ndarray, "height width *channel"], suffix: str) -> bytes:
    """File contents of an RGB, RGBA or grey image; `suffix` is `.jpg` or `.png`."""
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGBA2BGRA if image.shape[2] == 4 else cv2.COLOR_RGB2BGR)
    done, buffer = cv2.imencode(suffix, image, JPEG_PARAMETERS if suffix == ".jpg" else ())
    if not done:
        raise ValueError(f"cannot encode an image of shape {image.shape} as {suffix}")
    return buffer.tobytes()
