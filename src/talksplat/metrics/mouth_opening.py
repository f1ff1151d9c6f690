"""How well the mouth of the rendering opens and shuts with the true one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

MIN_FRAMES = 3
DEFINITION = (
    "Pearson correlation over frames of the mouth opening measured in the renderings with the true one; measured by "
    "comparison with re-renderings of the sample at the same head pose"
)


def pearson(a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray) -> float | None:
    """Correlation coefficient; None for fewer than three values or where one side does not vary."""
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if len(x) < MIN_FRAMES:
        return None
    x, y = x - x.mean(), y - y.mean()
    scale = np.linalg.norm(x) * np.linalg.norm(y)
    return float(x @ y / scale) if scale > 1e-12 else None


def mouth_opening_correlation(
    images: Sequence[np.ndarray],
    viewmats: Float[np.ndarray, "frame 4 4"],
    true_openings: Sequence[float] | np.ndarray | None,
    estimate_opening: Callable[[np.ndarray, np.ndarray], float] | None,
) -> tuple[float | None, str | None]:
    """Correlation of measured and true mouth openings, or None and the reason.

    Args:
        images: rendered frames, uint8 [H, W, 3].
        viewmats: their cameras, world-to-camera.
        true_openings: true opening of each frame; None: the clip has none.
        estimate_opening: measures the opening in an image seen from a camera; None: nothing can.
    """
    if true_openings is None or estimate_opening is None:
        return None, "the true mouth opening is known for the embedded sample only"
    measured = [float(estimate_opening(image, viewmat)) for image, viewmat in zip(images, viewmats)]
    value = pearson(measured, true_openings)
    if value is None:
        return None, f"the mouth does not move in these {len(measured)} frames, or they are fewer than {MIN_FRAMES}"
    return value, None
