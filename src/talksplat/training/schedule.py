"""Schedules of learning rates from their initial to their final value."""

from __future__ import annotations

import math
from collections.abc import Callable

Schedule = Callable[[float, float, float], float]  # initial rate, final rate, elapsed share of the horizon (0 to 1)


class LogLinear:
    """A straight line in the logarithm, as in 3D Gaussian splatting."""

    def __call__(self, initial: float, final: float, fraction: float) -> float:
        return initial ** (1 - fraction) * final**fraction


class Cosine:
    """Half a period of a cosine: slow at both ends."""

    def __call__(self, initial: float, final: float, fraction: float) -> float:
        return final + (initial - final) * 0.5 * (1 + math.cos(math.pi * fraction))


class Constant:
    """The initial rate throughout."""

    def __call__(self, initial: float, final: float, fraction: float) -> float:
        return initial
