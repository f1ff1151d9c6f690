"""How often each place of the head carried each label in the keyframes: a prior that fills gaps and removes flicker."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float

from talksplat.preprocess.segmentation.head_shape import HeadShape

CELL = 0.04  # dm
LEFT, TOP = -2.6, 2.2  # dm of the map's corner
SIZE = (130, 125)  # cells across and down
STRENGTH = 2.0  # log odds that the map may give at most


@dataclass
class LabelPlacement:
    """Frequencies of labels in the plane of the head that faces the camera."""

    frequency: Float[np.ndarray, "row column label"]

    @classmethod
    def learn(
        cls, shapes: list[HeadShape], probabilities: list[Float[np.ndarray, "height width label"]]
    ) -> LabelPlacement:
        """Mean of the label probabilities of keyframes, moved onto the head."""
        total = np.zeros((SIZE[1], SIZE[0], probabilities[0].shape[-1]), np.float32)
        weight = np.full((SIZE[1], SIZE[0], 1), 1e-3, np.float32)
        for shape, probability in zip(shapes, probabilities):
            to_map = _affine(shape)
            flags = cv2.INTER_LINEAR
            moved = cv2.warpAffine(np.ascontiguousarray(probability, np.float32), to_map, SIZE, flags=flags)
            inside = cv2.warpAffine(np.ones(probability.shape[:2], np.float32), to_map, SIZE, flags=flags)[..., None]
            total, weight = total + moved, weight + inside
        frequency = (total + 1e-3 / total.shape[-1]) / weight
        return cls(cv2.GaussianBlur(frequency, (0, 0), 1.0))

    def log_prior(self, shape: HeadShape) -> Float[np.ndarray, "height width label"]:
        """Log frequency at each pixel of a frame, at most `STRENGTH` below the best label."""
        height, width = shape.up.shape
        frequency = cv2.warpAffine(
            self.frequency,
            _affine(shape),
            (width, height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        logs = np.log(np.maximum(frequency, 1e-3))
        return np.maximum(logs - logs.max(-1, keepdims=True), -STRENGTH)


def _affine(shape: HeadShape) -> Float[np.ndarray, "2 3"]:
    """Pixel (column, row) to cell of the map; across and up are affine in the pixel."""
    fields = ((shape.across - LEFT) / CELL, (TOP - shape.up) / CELL)
    return np.array([[f[0, 1] - f[0, 0], f[1, 0] - f[0, 0], f[0, 0]] for f in fields], np.float64)
