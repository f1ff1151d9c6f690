"""What a camera that does not move sees behind a person who does."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float

CLOSE = 14.0  # largest channel difference (of 255) of two views of the same thing


EDGE, STEADY = 10.0, 0.5  # grey levels in a pixel that count as an edge; share of them that a still edge may vary by


def still_edges(
    images: Float[np.ndarray, "frame height width 3"],
) -> tuple[Float[np.ndarray, "height width"], Float[np.ndarray, "height width 3"]]:
    """1 on edges and texture that stay where they are in nearly all frames, and on the pixels beside them, otherwise 0; and
    the colours there.

    A person who moves has no such edges, however much a coat and the wall behind it look alike.
    """
    middle = np.median(images, axis=0)
    steepness = np.hypot(*(cv2.Sobel(middle, cv2.CV_32F, dx, 1 - dx, scale=0.25) for dx in (1, 0))).max(-1)
    variation = np.percentile(np.abs(images - middle).max(-1), 80, axis=0)
    still = (steepness > EDGE) & (variation < STEADY * steepness)
    return cv2.dilate(still.astype(np.float32), np.ones((3, 3), np.uint8)), middle


def still_background(
    images: Float[np.ndarray, "frame height width 3"], weights: Float[np.ndarray, "frame height width"]
) -> tuple[Float[np.ndarray, "height width 3"], Float[np.ndarray, "height width"]]:
    """The colour that most frames agree on at each pixel, and how many do.

    `weights` in [0, 1] says how surely a pixel of a frame shows background. The second result is the weighted share of
    frames that agree: near 1 where background was always seen by a still camera, small where nothing repeats.
    """
    best = np.zeros(images.shape[1:3], np.float32)
    plate = np.zeros(images.shape[1:], np.float32)
    for candidate, own in zip(images, weights):
        agree = np.abs(images - candidate).max(-1) < CLOSE
        support = (agree * weights).mean(0) * (own > 0)
        better = support > best
        best[better], plate[better] = support[better], candidate[better]
    return plate, best
