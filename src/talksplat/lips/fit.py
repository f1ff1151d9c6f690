"""Ridge regression from audio features to lip numbers over people, each weighted as at most a minute."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from talksplat.errors import UserError
from talksplat.lips.measures import NUM_SHAPES, TARGETS, lip_numbers
from talksplat.lips.prior import ROWS_PER_FRAME, LipPrior, standardized, window_rows

FULL_SECONDS = 60  # longer people are weighted down to this
COMPONENTS, DIRECT_WIDTH = 48, 64  # rows wider than the second are projected to so many principal components
ALPHAS = 10.0 ** np.arange(-4.5, 1.1, 0.5)  # of the inputs' total variance
ALONE = 0.001  # alpha where a single person leaves nobody to choose it by; of real ones best for the next person
GROUPS = 4  # of people, left out in turn to choose alpha
PERSONAL_ALPHA = 0.01  # of 7 s of a person as of a minute, by six people's held-out lips (experiments/lips)
CHUNK = 2000  # frames whose windows are held at once


@dataclass(frozen=True)
class LipClip:
    """One recording of a person on a common time scale: row r from r/50 s on, frame k at k/25 s."""

    name: str
    rows: Float[np.ndarray, "row width"]  # audio features
    frames: Int[np.ndarray, " frame"]  # ascending, gaps allowed
    measures: Float[np.ndarray, "frame 43"]  # of `lip_measures`; NaN: no face


People = dict[str, list[LipClip]]


@dataclass(frozen=True)
class Recipe:
    """Settings of a prior: its features, and its inputs, rows 2k + first_row to 2k + last_row of frame k."""

    feature: str
    fingerprint: Float[np.ndarray, " size"]
    per_clip: bool
    first_row: int = -16
    last_row: int = 5  # to 120 ms after the frame; up to 280 ms Whisper predicts no better, mel by 0.03

    def __post_init__(self) -> None:
        if self.last_row <= self.first_row or self.taps % 2:
            raise UserError(
                f"rows {self.first_row} to {self.last_row}: give an even number of rows, the first one first"
            )

    @property
    def taps(self) -> int:
        """Rows that a frame sees."""
        return self.last_row - self.first_row + 1


def fit(people: People, recipe: Recipe) -> LipPrior:
    """The prior of these people, without scores."""
    basis = _lip_basis(people)
    center, matrix = _projection(people, recipe.per_clip)
    moments = {name: _moments(clips, recipe, basis, center, matrix) for name, clips in people.items()}
    weights, bias = _folded(*_ridge(moments), center, matrix)
    return LipPrior(
        feature=recipe.feature,
        fingerprint=recipe.fingerprint,
        first_row=recipe.first_row,
        weights=weights.astype(np.float32),
        bias=bias.astype(np.float32),
        per_clip=recipe.per_clip,
        targets=TARGETS,
        lip_basis=basis.astype(np.float32),
        people=tuple(people),
        scores={},
        card="",
    )


def fit_person(prior: LipPrior, clip: LipClip, alpha: float = PERSONAL_ALPHA) -> LipPrior:
    """The prior plus a ridge regression on its residuals of this person's own lips (lip study, "line + ridge on the rest").

    `alpha` is in shares of the inputs' total variance. Deviations are the person's own; frames without a face are not fitted.
    """
    numbers = lip_numbers(clip.measures, prior.lip_basis)
    seen = np.isfinite(numbers[:, 0])
    if not seen.any():
        return prior
    predicted = prior.at_rows(clip.rows, ROWS_PER_FRAME * clip.frames)
    mean = predicted[seen].mean(0)
    center, matrix = _projection({clip.name: [clip]}, prior.per_clip)
    rows = (standardized(clip.rows) if prior.per_clip else clip.rows) - center
    moments = _clip_moments(
        rows @ matrix, clip.frames, numbers - predicted + mean, prior.first_row, prior.weights.shape[1]
    )
    weights, bias = (values[0] for values in _solve(moments, np.array([alpha])))
    weights, bias = _folded(weights, bias, center, matrix)
    return replace(prior, weights=prior.weights + weights, bias=prior.bias - mean + bias)


def _lip_basis(people: People) -> Float[np.ndarray, "6 40"]:
    """Principal components of the lips' shape about each person's mean; signs such that an open mouth is positive."""
    total, opening = np.zeros((40, 40)), np.zeros(40)
    for clips in people.values():
        lips = np.concatenate([clip.measures for clip in clips])
        lips = lips[np.isfinite(lips[:, 0])]
        gap, points = lips[:, 0] - lips[:, 0].mean(), lips[:, 3:] - lips[:, 3:].mean(0)
        weight = _weight(len(lips), 25)
        total, opening = total + weight * points.T @ points, opening + weight * points.T @ gap
    basis = np.linalg.eigh(total)[1][:, : -NUM_SHAPES - 1 : -1].T
    return basis * np.where(basis @ opening < 0, -1, 1)[:, None]


def _projection(people: People, per_clip: bool) -> tuple[Float[np.ndarray, " width"], Float[np.ndarray, "width part"]]:
    """Mean of the rows and the matrix that makes them the regression's inputs.

    Narrow rows are standardised, wide ones brought to their principal components, partly whitened: with full whitening the
    ridge would treat noise like sound, without it only the first components would have an effect.
    """
    count, total, squares = 0.0, 0.0, 0.0
    for clips in people.values():
        rows = np.concatenate([standardized(c.rows) if per_clip else c.rows for c in clips]).astype(np.float64)
        weight = _weight(len(rows), 50)
        count, total = count + weight * len(rows), total + weight * rows.sum(0)
        squares = squares + weight * rows.T @ rows
    center = total / count
    covariance = squares / count - np.outer(center, center)
    deviation = np.sqrt(np.maximum(np.diag(covariance), 0)) + 1e-6
    if len(center) <= DIRECT_WIDTH:
        return center, np.diag(1 / deviation)
    values, vectors = np.linalg.eigh(covariance / np.outer(deviation, deviation))
    values, vectors = values[: -COMPONENTS - 1 : -1], vectors[:, : -COMPONENTS - 1 : -1]
    return center, vectors / np.maximum(values, 1e-9) ** 0.25 / deviation[:, None]


def _moments(
    clips: list[LipClip], recipe: Recipe, basis: np.ndarray, center: np.ndarray, matrix: np.ndarray
) -> Float[np.ndarray, "column column"]:
    """Second moments of a person's [inputs, lip numbers, 1]: the sufficient statistics of a ridge regression."""
    numbers = lip_numbers(np.concatenate([clip.measures for clip in clips]), basis)
    moments, start = 0.0, 0
    for clip in clips:
        rows = ((standardized(clip.rows) if recipe.per_clip else clip.rows) - center) @ matrix
        lips, start = numbers[start : start + len(clip.frames)], start + len(clip.frames)
        moments = moments + _clip_moments(rows, clip.frames, lips, recipe.first_row, recipe.taps)
    return moments * _weight(moments[-1, -1], 25)


def _clip_moments(
    rows: Float[np.ndarray, "row part"],
    frames: Int[np.ndarray, " frame"],
    lips: Float[np.ndarray, "frame 9"],
    first_row: int,
    taps: int,
) -> Float[np.ndarray, "column column"]:
    """Second moments of [means of pairs of rows, lips, 1] over the frames with a face."""
    seen = np.flatnonzero(np.isfinite(lips[:, 0]))
    moments = 0.0
    for part in np.split(seen, range(CHUNK, len(seen), CHUNK)):
        window = rows[window_rows(ROWS_PER_FRAME * frames[part], first_row, taps, len(rows))]
        pairs = window.reshape(len(part), -1, 2, rows.shape[1]).mean(2).reshape(len(part), -1)
        columns = np.concatenate([pairs, lips[part], np.ones((len(part), 1))], axis=1)
        moments = moments + columns.T @ columns
    return moments


def _folded(
    weights: Float[np.ndarray, "input 9"],
    bias: Float[np.ndarray, " 9"],
    center: Float[np.ndarray, " width"],
    matrix: Float[np.ndarray, "width part"],
) -> tuple[Float[np.ndarray, "9 tap width"], Float[np.ndarray, " 9"]]:
    """Weights of single rows from those of projected pairs."""
    weights = weights.T.reshape(len(TARGETS), -1, matrix.shape[1]) @ matrix.T
    weights = np.repeat(weights / 2, 2, axis=1)
    return weights, bias - weights.sum(1) @ center


def _ridge(moments: dict[str, np.ndarray]) -> tuple[Float[np.ndarray, "input 9"], Float[np.ndarray, " 9"]]:
    """Weights and bias, each target with the alpha that predicts people left out best."""
    names = sorted(moments, key=lambda name: -moments[name][-1, -1])
    if len(names) == 1:
        weights, bias = _solve(moments[names[0]], np.array([ALONE]))
        return weights[0], bias[0]
    errors = np.zeros((len(ALPHAS), len(TARGETS)))
    for group in (names[k::GROUPS] for k in range(min(GROUPS, len(names)))):
        weights, bias = _solve(sum(moments[name] for name in names if name not in group), ALPHAS)
        unit = np.broadcast_to(np.eye(len(TARGETS)), (len(ALPHAS), len(TARGETS), len(TARGETS)))
        residual = np.concatenate([-weights, unit, -bias[:, None]], axis=1)
        errors += np.einsum("aij,ik,akj->aj", residual, sum(moments[name] for name in group), residual, optimize=True)
    best = errors.argmin(0)
    weights, bias = _solve(sum(moments.values()), ALPHAS)
    target = np.arange(len(TARGETS))
    return weights[best, :, target].T, bias[best, target]


def _solve(moments: np.ndarray, alphas: np.ndarray) -> tuple[Float[np.ndarray, "alpha input 9"], np.ndarray]:
    """Ridge solutions for all alphas, in closed form from second moments."""
    count, mean = moments[-1, -1], moments[-1, :-1] / moments[-1, -1]
    covariance = moments[:-1, :-1] / count - np.outer(mean, mean)
    size = len(covariance) - len(TARGETS)
    values, vectors = np.linalg.eigh(covariance[:size, :size])
    inputs = vectors.T @ covariance[:size, size:]
    ridge = alphas[:, None, None] * max(values.sum(), 1e-12)
    weights = vectors @ (inputs / (np.maximum(values, 0)[:, None] + ridge))
    return weights, mean[size:] - mean[:size] @ weights


def _weight(count: float, rate: int) -> float:
    return min(1.0, FULL_SECONDS * rate / count)
