"""Measures how far the mouth is open in any picture of the sample subject, by comparing it with its own renderings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from jaxtyping import Float

from talksplat.errors import UserError

if TYPE_CHECKING:
    from talksplat.data.sample.subject import SampleSubject

OPENINGS = np.linspace(0, 1, 9)
ROUNDINGS = (0.05, 0.35, 0.65)
BLUR = 0.004  # of the picture's width: a blurred or noisy picture is compared with equally soft renderings
TOLERANCE = 0.08  # colour difference (0..1) from which a pixel counts as simply different
MARGIN = 0.3  # of the mouth's width, around the lips


def _window(subject: SampleSubject, viewmat: np.ndarray) -> tuple[int, int, int, int]:
    lips = np.concatenate([subject.landmarks68(opening, 0.0, 0.0, viewmat)[48:68] for opening in (0.0, 1.0)])
    margin = MARGIN * np.ptp(lips[:, 0])
    low = np.clip(np.floor(lips.min(0) - margin), 0, subject.resolution).astype(int)
    high = np.clip(np.ceil(lips.max(0) + margin), 0, subject.resolution).astype(int)
    return (*low.tolist(), *(high - low).tolist())


def _soften(picture: np.ndarray, resolution: int) -> np.ndarray:
    return cv2.GaussianBlur(np.asarray(picture, np.float32), (0, 0), BLUR * resolution)


def _difference(picture: np.ndarray, rendering: np.ndarray) -> float:
    """Mean of a bounded difference; an even shift of all colours does not count."""
    gap = picture - rendering
    gap = gap - np.median(gap, axis=(0, 1))
    square = (gap**2).mean(-1)
    return float((square / (square + TOLERANCE**2)).mean())


def _vertex(at: np.ndarray, cost: np.ndarray) -> float:
    """Minimum of equally spaced costs, refined by the parabola through the three lowest."""
    best = int(np.clip(cost.argmin(), 1, len(cost) - 2))
    before, middle, after = cost[best - 1 : best + 2]
    bend = before - 2 * middle + after
    shift = 0.5 * (before - after) / bend if bend > 1e-12 else 0.0
    return float(at[best] + np.clip(shift, -1, 1) * (at[1] - at[0]))


def estimate_opening(subject: SampleSubject, image: np.ndarray, viewmat: Float[np.ndarray, "4 4"]) -> float:
    """Mouth opening in [0, 1] shown by `image` ([H, W, 3], u8 or float in [0, 1], H = W = the subject's resolution).

    Renderings of the mouth at this pose (9 openings, 3 roundings, then finer steps about the best) are compared with
    the picture around the lips.

    Raises:
        UserError: a picture of another size, or a pose that does not show the mouth.
    """
    size = subject.resolution
    if image.shape != (size, size, 3):
        raise UserError(f"the picture has shape {image.shape}, the sample was made for {(size, size, 3)}")
    viewmat = np.asarray(viewmat, np.float64)
    window = _window(subject, viewmat)
    left, top, width, height = window
    if min(width, height) < 8:
        raise UserError("the mouth lies outside the picture at this pose")
    scale = 255.0 if image.dtype == np.uint8 else 1.0
    picture = _soften(image[top : top + height, left : left + width] / np.float32(scale), size)

    def cost(opening: float, rounding: float) -> float:
        rendering = subject.mouth_view(float(np.clip(opening, 0, 1)), rounding, viewmat, window) / 255
        return _difference(picture, _soften(rendering, size))

    costs = np.array([[cost(opening, rounding) for opening in OPENINGS] for rounding in ROUNDINGS])
    rounding = float(np.clip(_vertex(np.array(ROUNDINGS), costs.min(1)), 0, 1))
    coarse = OPENINGS[costs.min(0).argmin()]
    step = (OPENINGS[1] - OPENINGS[0]) / 2
    fine = np.clip(coarse, 2 * step, 1 - 2 * step) + step * np.arange(-2, 3)
    return float(np.clip(_vertex(fine, np.array([cost(opening, rounding) for opening in fine])), 0, 1))
