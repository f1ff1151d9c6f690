"""What a camera that does not move sees behind a person who does."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

CLOSE = 14.0  # largest channel difference (of 255) of two views of the same thing


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
