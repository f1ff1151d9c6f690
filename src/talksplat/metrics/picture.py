"""Originals and renderings next to each other, for the eye."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from talksplat.files import write_bytes

ERROR_GAIN = 4
BAR = 22  # pixels, height of a row of text
GAP = 2  # pixels between pictures
TITLES = ("original", "rendering", f"absolute error x{ERROR_GAIN}")


def comparison_grid(
    originals: Tensor | np.ndarray, renders: Tensor | np.ndarray, frame_ids: Sequence[int]
) -> np.ndarray:
    """One row a frame: original, rendering, absolute error times 4; with titles and frame numbers.

    Args:
        originals, renders: [B, H, W, 3] RGB, uint8 or float in [0, 1].
        frame_ids: B frame numbers, written into the rows.

    Returns:
        uint8 [height, width, 3] RGB.
    """
    originals, renders = _to_u8(originals), _to_u8(renders)
    if originals.shape != renders.shape or len(originals) != len(frame_ids):
        raise ValueError(f"{originals.shape} originals, {renders.shape} renderings, {len(frame_ids)} frame numbers")
    height, width = originals.shape[1:3]
    rows = [np.concatenate([title_bar(title, width + GAP) for title in TITLES], axis=1)]
    for original, render, frame_id in zip(originals, renders, frame_ids):
        error = np.abs(original.astype(np.int16) - render) * ERROR_GAIN
        row = np.zeros((height + GAP, 3 * (width + GAP), 3), np.uint8)
        for column, picture in enumerate((original, render, error.clip(0, 255))):
            row[:height, column * (width + GAP) : column * (width + GAP) + width] = picture
        _write(row, str(frame_id), (4, height - 6))
        rows.append(row)
    return np.concatenate(rows)


def title_bar(text: str, width: int) -> np.ndarray:
    """White text on black, uint8 [22, width, 3]; what does not fit is cut."""
    bar = np.zeros((BAR, width, 3), np.uint8)
    _write(bar, text, (4, BAR - 7))
    return bar


def save_picture(path: Path, image: np.ndarray) -> None:
    """Write an RGB uint8 [H, W, 3] image as PNG; a broken write leaves nothing behind.

    Raises:
        UserError: the folder does not exist or cannot be written.
    """
    done, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not done:
        raise ValueError(f"no PNG of an array {image.shape} {image.dtype}")
    write_bytes(path, data.tobytes())


def _to_u8(images: Tensor | np.ndarray) -> np.ndarray:
    array = images.detach().cpu().numpy() if isinstance(images, torch.Tensor) else np.asarray(images)
    if array.dtype == np.uint8:
        return array
    return (array.clip(0, 1) * 255).round().astype(np.uint8)


def _write(image: np.ndarray, text: str, corner: tuple[int, int]) -> None:
    # A dark rim keeps it readable on any picture.
    for color, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(image, text, corner, cv2.FONT_HERSHEY_SIMPLEX, 0.42, color, thickness, cv2.LINE_AA)
