"""Where the error of a rendering sits: mouth, face, hair, neck and shoulders, outline, background."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from talksplat.subject_format.labels import Label

REGIONS = ("mouth", "face", "hair", "edge", "body", "background")
EDGE = 6  # pixels at 512 on either side of the head's outline
FOREHEAD = 0.9  # how far the face goes above the brows, in heights from the brows to the base of the nose
BROWS, NOSE_BASE = slice(17, 27), 33  # of the 68 landmarks


def face_polygon(landmarks: Float[np.ndarray, "68 2"]) -> Float[np.ndarray, "point 2"]:
    """Convex hull of the landmarks with the brows moved up over the forehead, in pixels."""
    brows = landmarks[BROWS]
    up = (brows.mean(0) - landmarks[NOSE_BASE]) * FOREHEAD
    return cv2.convexHull(np.concatenate([landmarks, brows + up]).astype(np.float32))[:, 0]


def error_regions(
    labels: UInt8[np.ndarray, "height width"],
    landmarks: Float[np.ndarray, "68 2"],
    mouth: Bool[np.ndarray, "height width"],
) -> dict[str, Bool[np.ndarray, "height width"]]:
    """Disjoint masks of `REGIONS` that cover the frame; the first of them that claims a pixel has it, the outline before
    face and hair.

    Args:
        labels: `Label` values.
        landmarks: dlib's 68 points in pixels; NaN where there are none, and all of the head is then hair.
        mouth: pixels around the mouth (`regions.mouth_mask`).
    """
    height, width = labels.shape
    head = labels == Label.HEAD
    size = 2 * max(1, round(EDGE * height / 512)) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    outline = cv2.morphologyEx(head.astype(np.uint8), cv2.MORPH_GRADIENT, kernel) > 0
    face = np.zeros((height, width), np.uint8)
    if np.isfinite(landmarks).all():
        cv2.fillConvexPoly(face, np.round(face_polygon(landmarks)).astype(np.int32), 1)
    mouth = mouth & head
    wanted = {
        "mouth": mouth,
        "edge": outline,
        "face": head & (face > 0),
        "hair": head,
        "body": (labels == Label.NECK) | (labels == Label.TORSO),
        "background": np.ones_like(head),
    }
    taken = np.zeros_like(head)
    masks = {}
    for name, mask in wanted.items():
        masks[name] = mask & ~taken
        taken |= mask
    return {name: masks[name] for name in REGIONS}


def region_table(
    squared_error: Float[np.ndarray, "frame height width"],
    regions: list[Mapping[str, Bool[np.ndarray, "height width"]]],
) -> dict[str, dict[str, float]]:
    """Of each region: its share of the pixels, its share of the squared error, and the PSNR (dB) inside it.

    Args:
        squared_error: mean over the colour channels, images in [0, 1].
        regions: one dictionary of `error_regions` for each frame.
    """
    total = max(float(squared_error.sum()), 1e-12)
    table = {}
    for name in REGIONS:
        masks = np.stack([region[name] for region in regions])
        inside = float(squared_error[masks].sum())
        pixels = int(masks.sum())
        mean = inside / pixels if pixels else float("nan")
        table[name] = {
            "pixels": pixels / masks.size,
            "error": inside / total,
            "psnr": float(-10 * np.log10(max(mean, 1e-12))) if pixels else float("nan"),
        }
    return table
