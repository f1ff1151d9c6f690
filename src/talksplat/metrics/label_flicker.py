"""How much a label map changes from frame to frame where the picture only moves."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

CONSISTENT = 1.0  # pixels that forward and backward flow may differ by
SAME_COLOR = 20.0  # largest channel difference (of 255) of a pixel and where it went


def flow_between(
    first: UInt8[np.ndarray, "height width 3"], second: UInt8[np.ndarray, "height width 3"]
) -> Float[np.ndarray, "height width 2"]:
    """Where each pixel of `first` went in `second`, in pixels (dense inverse search, Kroeger et al. 2016)."""
    grey = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (first, second)]
    return cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(*grey, None)


def move(image: np.ndarray, flow: Float[np.ndarray, "height width 2"], how: int = cv2.INTER_LINEAR) -> np.ndarray:
    """What lies in `image` where each pixel went."""
    rows, columns = np.mgrid[: flow.shape[0], : flow.shape[1]].astype(np.float32)
    return cv2.remap(image, columns + flow[..., 0], rows + flow[..., 1], how, borderMode=cv2.BORDER_REPLICATE)


def followed(
    first: UInt8[np.ndarray, "height width 3"], second: UInt8[np.ndarray, "height width 3"]
) -> tuple[Float[np.ndarray, "height width 2"], Bool[np.ndarray, "height width"]]:
    """Flow, and the pixels that it surely follows: there and back is the same place, with the same colour."""
    there, back = flow_between(first, second), flow_between(second, first)
    returned = np.linalg.norm(there + move(back, there), axis=-1) < CONSISTENT
    same = np.abs(move(second, there).astype(np.float32) - first).max(-1) < SAME_COLOR
    return there, returned & same


def flipped_share(
    images: tuple[UInt8[np.ndarray, "height width 3"], UInt8[np.ndarray, "height width 3"]],
    labels: tuple[UInt8[np.ndarray, "height width"], UInt8[np.ndarray, "height width"]],
    border: int = 0,
) -> float:
    """Share of the followed pixels of two consecutive frames whose label changes; NaN where nothing can be followed.

    A change counts only if it reaches further than `border` pixels from both maps' borders: 0 counts every pixel, 2 the
    patches that come and go but no outline that trembles by a pixel.
    """
    flow, sure = followed(*images)
    if not sure.any():
        return float("nan")
    moved = move(labels[1], flow, cv2.INTER_NEAREST)
    flipped = moved != labels[0]
    if border:
        kernel = np.ones((2 * border + 1, 2 * border + 1), np.uint8)
        flipped = cv2.morphologyEx(flipped.astype(np.uint8), cv2.MORPH_OPEN, kernel) > 0
    return float(flipped[sure].mean())
