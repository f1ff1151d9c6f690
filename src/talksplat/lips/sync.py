"""Offset of a clip's sound against its video: the lag at which predictions of a lip prior fit the measured lips best.

A model fitted to the clip itself would learn any constant offset; a prior from other people does not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from talksplat.lips.measures import lip_numbers
from talksplat.lips.prior import ROWS_PER_FRAME, LipPrior

ROW_SECONDS, FPS = 0.02, 25
REACH = 25  # rows: half a second
COMPARED = ("gap", "jaw", "shape1")
MIN_SECONDS = 4.0  # of face
CLEAR_SCORE = 0.25
RESAMPLES, INTERVAL = 200, (5, 95)  # per cent
STEADY = 0.04  # s that the interval may span: one frame


@dataclass(frozen=True)
class SoundOffset:
    """Estimate for one clip. `offset` > 0: the sound comes late; None where the clip is insufficient."""

    offset: float | None  # s
    confident: bool
    score: float  # mean correlation of predicted and seen lip numbers at the best lag
    spread: float  # s that hold 90 % of the offsets found in resampled seconds of the clip
    lags: Float[np.ndarray, " lag"]  # s
    scores: Float[np.ndarray, " lag"]


def find_offset(
    prior: LipPrior,
    rows: Float[np.ndarray, "row width"],
    frames: Int[np.ndarray, " frame"],
    measures: Float[np.ndarray, "frame 43"],
) -> SoundOffset:
    """Offset of the sound with features `rows` against the lips of frames with these numbers (frame k at k/25 s).

    `measures` may have rows of NaN (no face).
    """
    lags = np.arange(-REACH, REACH + 1)
    nothing = SoundOffset(None, False, 0.0, 2 * REACH * ROW_SECONDS, ROW_SECONDS * lags, np.zeros(len(lags)))
    seen = np.isfinite(measures).all(1)
    if seen.sum() < MIN_SECONDS * FPS or len(rows) < MIN_SECONDS / ROW_SECONDS:
        return nothing
    chosen = [prior.targets.index(name) for name in COMPARED]
    lips, at = lip_numbers(measures[seen], prior.lip_basis)[:, chosen], ROWS_PER_FRAME * frames[seen]
    first = int(at[0]) - REACH
    predicted = prior.at_rows(rows, np.arange(first, at[-1] + REACH + 1))[:, chosen]
    if min(lips.std(0).min(), predicted.std(0).min()) < 1e-6:
        return nothing  # a still mouth, or silence
    moments = _moments(predicted[at[:, None] + lags - first], lips, frames[seen] // FPS)
    scores = _scores(moments.sum(0))
    best = int(scores.argmax())
    counts = np.random.default_rng(0).multinomial(len(moments), np.full(len(moments), 1 / len(moments)), RESAMPLES)
    resampled = _scores(np.tensordot(counts, moments, 1)).argmax(-1)
    spread = ROW_SECONDS * float(np.ptp(np.percentile(resampled, INTERVAL)))
    confident = bool(scores[best] >= CLEAR_SCORE and spread <= STEADY + 1e-9 and 0 < best < len(lags) - 1)
    offset = ROW_SECONDS * (float(lags[best]) + _vertex(scores, best))
    return SoundOffset(offset, confident, float(scores[best]), spread, ROW_SECONDS * lags, scores)


def _moments(
    predicted: Float[np.ndarray, "frame lag number"], lips: Float[np.ndarray, "frame number"], seconds: np.ndarray
) -> Float[np.ndarray, "second lag number 6"]:
    """Sums per second from which correlations are computed: count, both values, their squares and their product."""
    lips = np.broadcast_to(lips[:, None], predicted.shape)
    terms = np.stack([np.ones_like(predicted), predicted, lips, predicted**2, lips**2, predicted * lips], -1)
    return np.add.reduceat(terms, np.flatnonzero(np.diff(seconds, prepend=seconds[0] - 1)), axis=0)


def _scores(moments: Float[np.ndarray, "*set lag number 6"]) -> Float[np.ndarray, "*set lag"]:
    """Correlation at each lag, mean over the numbers."""
    count, a, b, aa, bb, ab = np.moveaxis(moments, -1, 0)
    spread = np.sqrt(np.maximum((aa - a**2 / count) * (bb - b**2 / count), 1e-18))
    return ((ab - a * b / count) / spread).mean(-1)


def _vertex(values: np.ndarray, index: int) -> float:
    """Vertex of the parabola through a peak and its neighbours, in steps from the peak."""
    if not 0 < index < len(values) - 1:
        return 0.0
    left, middle, right = values[index - 1 : index + 2]
    return float(np.clip(0.5 * (left - right) / min(left - 2 * middle + right, -1e-9), -0.5, 0.5))
