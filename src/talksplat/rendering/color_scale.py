"""Colour scale: values to colours, with labels of its ends."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import matplotlib
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

LEVELS = 256


@dataclass(frozen=True)
class ColorScale:
    """Colours from 0 to `high`; larger values have the colour of `high`.

    Args:
        high: the value at the bright end.
        unit: of the values; "" for plain numbers.
        palette: a colour map of matplotlib; a perceptual one, so that equal steps look equal.
    """

    high: float = 1.0
    unit: str = ""
    palette: str = "viridis"

    @property
    def high_label(self) -> str:
        """`high` with its unit."""
        return f"{self.high:.2g} {self.unit}".strip()

    @cached_property
    def table(self) -> Float[np.ndarray, "level 3"]:
        """RGB in [0, 1] of equally spaced values from 0 to `high`."""
        return matplotlib.colormaps[self.palette](np.linspace(0, 1, LEVELS))[:, :3].astype(np.float32)

    def paint(self, values: Float[Tensor, "*picture"]) -> Float[Tensor, "*picture 3"]:
        """RGB in [0, 1]; NaN has the colour of 0."""
        levels = (values / self.high).nan_to_num().clamp(0, 1).mul(LEVELS - 1).round().long()
        return torch.as_tensor(self.table, device=values.device)[levels]


def round_up(value: float) -> float:
    """The next number of two digits, for the end of a scale; 1 for 0, where there is nothing to show."""
    if value <= 0:
        return 1.0
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / step - 1e-3) * step:.2g}")
