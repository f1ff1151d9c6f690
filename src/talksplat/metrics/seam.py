"""Whether head and torso meet without a visible cut: image gradient across their border."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float, Shaped, UInt8

from talksplat.subject_format.labels import Label

STEPS = (-2, -1, 0, 1, 2)  # unit steps along the normal that are averaged: a band of +-2.5 pixels
NORMAL_BLUR = 2.0  # pixels, standard deviation of the mask that normals are taken from


def seam_points(
    labels: UInt8[np.ndarray, "height width"], below: Sequence[Label] = (Label.NECK, Label.TORSO)
) -> tuple[Float[np.ndarray, "point 2"], Float[np.ndarray, "point 2"]]:
    """Places (x, y) between head pixels and pixels of `below`, and unit normals that point out of the head."""
    head = (labels == Label.HEAD).astype(np.uint8)
    other = np.isin(labels, [int(label) for label in below])
    places = []
    for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        shift = np.float32([[1, 0, -dx], [0, 1, -dy]])
        neighbour = cv2.warpAffine(other.astype(np.uint8), shift, other.shape[::-1], flags=cv2.INTER_NEAREST)
        rows, columns = np.nonzero(head & neighbour)
        places.append(np.stack([columns + dx / 2, rows + dy / 2], axis=1))
    places = np.concatenate(places).astype(np.float32)
    soft = cv2.GaussianBlur(head.astype(np.float32), (0, 0), NORMAL_BLUR)
    slopes = [cv2.Sobel(soft, cv2.CV_32F, *order) for order in ((1, 0), (0, 1))]
    normals = -np.stack([_sample(slope, places) for slope in slopes], axis=1)
    length = np.linalg.norm(normals, axis=1)
    kept = length > 1e-6
    return places[kept], normals[kept] / length[kept, None]


def seam_gradient(
    image: Shaped[np.ndarray, "height width 3"],
    labels: UInt8[np.ndarray, "height width"],
    below: Sequence[Label] = (Label.NECK, Label.TORSO),
) -> float:
    """Mean absolute change of colour per pixel (grey levels, mean over RGB) across the border of head and `below`.

    Finite differences of one pixel along the border's normal, averaged over +-2.5 pixels and over the border. NaN where
    the labels have no such border. Compare with the value of the original frame: a cut raises it, a blur lowers it.
    """
    places, normals = seam_points(labels, below)
    if not len(places):
        return float("nan")
    image = image.astype(np.float32)
    steps = [
        np.abs(_sample(image, places + (step + 0.5) * normals) - _sample(image, places + (step - 0.5) * normals))
        for step in STEPS
    ]
    return float(np.mean(steps))


def _sample(image: np.ndarray, places: Float[np.ndarray, "point 2"]) -> np.ndarray:
    """Bilinear samples at (x, y), pixel centres at whole numbers; cv2.remap takes at most 32,767 rows."""
    parts = [
        cv2.remap(image, part[:, None, 0], part[:, None, 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[:, 0]
        for part in np.array_split(places.astype(np.float32), max(1, -(-len(places) // 30000)))
        if len(part)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, *image.shape[2:]), np.float32)
