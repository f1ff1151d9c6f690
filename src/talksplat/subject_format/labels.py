"""Classes of the semantic map `parsing/{i}.png` and their colours on disk."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from jaxtyping import Bool, Float, UInt8


class Label(IntEnum):
    """What a pixel shows."""

    BACKGROUND = 0
    HEAD = 1
    NECK = 2
    TORSO = 3


# Blue, green, red, as OpenCV reads and writes them (GaussianTalker); row = label.
COLORS_BGR = np.array([[255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]], dtype=np.uint8)


def encode_parsing(labels: UInt8[np.ndarray, "height width"]) -> UInt8[np.ndarray, "height width 3"]:
    """Colour-coded map in BGR of `Label` values. Raises ValueError for a value that is no label."""
    if labels.size and labels.max() >= len(COLORS_BGR):
        raise ValueError(f"labels go from 0 to {len(COLORS_BGR) - 1}, found {labels.max()}")
    return COLORS_BGR[labels]


def label_mask(bgr: UInt8[np.ndarray, "*shape 3"], label: Label) -> Bool[np.ndarray, "*shape"]:
    """Pixels whose colour is exactly the label's on all three channels."""
    return (bgr == COLORS_BGR[label]).all(-1)


def looks_swapped(bgr: UInt8[np.ndarray, "height width 3"], landmarks: Float[np.ndarray, "point 2"]) -> bool:
    """Whether red and blue of a colour-coded map were exchanged: the face landmarks (pixels) then lie on the torso."""
    height, width = bgr.shape[:2]
    columns, rows = np.floor(landmarks[np.isfinite(landmarks).all(1)]).astype(np.int64).T
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    colors = bgr[rows[inside], columns[inside]]
    torso, head = (label_mask(colors, label).mean() if len(colors) else 0.0 for label in (Label.TORSO, Label.HEAD))
    return bool(torso > 0.5 > 0.2 > head)


def decode_parsing(bgr: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "height width"]:
    """Labels of a colour-coded map in BGR; any other colour counts as background."""
    labels = np.zeros(bgr.shape[:2], dtype=np.uint8)
    for label in (Label.HEAD, Label.NECK, Label.TORSO):
        labels[label_mask(bgr, label)] = label
    return labels
