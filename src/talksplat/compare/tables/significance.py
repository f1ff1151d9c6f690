"""Whether the mean of a series of neighbouring frames differs from zero by more than chance.

Frames of a video resemble their neighbours, so a test that takes them for independent finds differences everywhere (27 % instead
of 5 % at a correlation of 0.5 between neighbours). The standard error here is that of a circular block bootstrap (Politis and
Romano 1992) of the mean, which needs no random numbers: resampling n/b of the n blocks of b neighbouring frames gives a mean whose
variance is b/n times the variance of the blocks' means. Blocks have twice the length that is best for estimating that variance
(Politis and White 2004, with the correction of 2009), at least the root of the number of frames, and at least two correlation
times, since few frames hide a long correlation from the former. The quantiles are Student's with as many degrees of freedom as there
are blocks less one: `experiments/compare` measures how often such intervals miss.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import stdtr, stdtrit

LEVEL = 0.05
MIN_BLOCKS = 3  # with fewer there is nothing to estimate a spread from


@dataclass(frozen=True)
class Interval:
    """Mean of a series, its 95 % interval and the probability of such a mean by chance; None where nothing can be said."""

    mean: float
    low: float | None
    high: float | None
    p: float | None
    block: int  # frames


def frame_interval(series: Float[np.ndarray, " frame"]) -> Interval:
    """Interval of the mean of values of neighbouring frames, in their order; at least one."""
    count, mean = len(series), float(np.mean(series))
    block = max(2 * block_length(series), math.ceil(math.sqrt(count)), math.ceil(2 * correlation_time(series)))
    if count < MIN_BLOCKS * block:
        return Interval(mean, None, None, None, block)
    wrapped = np.concatenate([series, series[: block - 1]])
    sums = np.cumsum(np.concatenate([[0.0], wrapped]))
    means = (sums[block:] - sums[:-block]) / block
    # A fraction block/count of the spread is lost as the blocks share the series' own mean.
    error = math.sqrt(block / count * float(np.var(means)) / (1 - block / count))
    return Interval(mean, *_student(mean, error, count / block - 1), block)


def seed_interval(differences: Float[np.ndarray, " seed"]) -> Interval:
    """Interval of the mean of independent values, one for each seed; None for a single one."""
    mean = float(np.mean(differences))
    if len(differences) < 2:
        return Interval(mean, None, None, None, 1)
    error = float(np.std(differences, ddof=1)) / math.sqrt(len(differences))
    return Interval(mean, *_student(mean, error, len(differences) - 1), 1)


def holm(values: list[float | None]) -> list[float | None]:
    """Probabilities corrected for how many there are (Holm 1979); None stays."""
    order = sorted((index for index, value in enumerate(values) if value is not None), key=lambda index: values[index])
    corrected, largest = list(values), 0.0
    for place, index in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - place) * values[index]))
        corrected[index] = largest
    return corrected


def block_length(series: Float[np.ndarray, " frame"]) -> int:
    """Best length of circular blocks for the variance of the mean, from the autocorrelation (Politis and White 2004)."""
    count = len(series)
    run = max(5, math.ceil(math.sqrt(math.log10(max(count, 2)))))
    most = min(math.ceil(math.sqrt(count)) + run, count - 1)
    if most < run:
        return 1
    centred = series - series.mean()
    covariance = np.array([centred[: count - lag] @ centred[lag:] / count for lag in range(most + 1)])
    if covariance[0] <= 1e-12 * max(1.0, float(np.mean(series**2))):
        return 1
    small = np.abs(covariance[1:] / covariance[0]) < 2 * math.sqrt(math.log10(count) / count)
    last = next((lag for lag in range(most - run + 1) if small[lag : lag + run].all()), None)
    if last is None:
        last = int(np.nonzero(~small)[0][-1]) + 1
    width = min(2 * max(last, 1), most)
    lags = np.arange(-width, width + 1)
    weighted = np.clip(2 * (1 - np.abs(lags) / width), 0, 1) * covariance[np.abs(lags)]
    spectrum, slope = float(weighted.sum()), float((np.abs(lags) * weighted).sum())
    if spectrum <= 0:
        return 1
    best = (2 * slope**2 / (4 / 3 * spectrum**2)) ** (1 / 3) * count ** (1 / 3)
    return int(min(max(1, math.ceil(best)), math.ceil(min(3 * math.sqrt(count), count / 3))))


def correlation_time(series: Float[np.ndarray, " frame"]) -> float:
    """Frames that count as one independent frame: (1 + r) / (1 - r) of the correlation r between neighbours, at least 1. Few
    frames make r too small, which is corrected to first order."""
    count = len(series)
    centred = series - series.mean()
    power = float(centred @ centred)
    if count < 4 or power <= 1e-12 * max(1.0, float(series @ series)):
        return 1.0
    raw = float(centred[1:] @ centred[:-1]) / power
    corrected = min(max(raw + (1 + 3 * raw) / count, 0.0), 1 - 1 / count)
    return (1 + corrected) / (1 - corrected)


def _student(mean: float, error: float, freedom: float) -> tuple[float, float, float]:
    if error == 0:
        return mean, mean, float(mean == 0)
    half = float(stdtrit(freedom, 1 - LEVEL / 2)) * error
    return mean - half, mean + half, float(2 * stdtr(freedom, -abs(mean) / error))
