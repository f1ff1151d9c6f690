"""Facial expression: action units in addition to the blink, as a condition token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from talksplat.errors import UserError
from talksplat.types import Conditions


class ExpressionToken(nn.Module):
    """Intensities of facial action units in addition to the blink.

    Args:
        units: their names, as `dataset.action_units` lists them.
    """

    def __init__(self, units: Sequence[str]):
        super().__init__()
        if not units:
            raise UserError("model.tokens.expression has no units: name columns of au.csv in dataset.action_units")
        self.units = tuple(units)
        self.out_features = len(self.units)

    def forward(self, conditions: Conditions) -> Float[Tensor, "frame unit"]:
        """Intensities. Raises UserError where the frames have none."""
        return intensities(conditions, self.units)


def at_rest(conditions: Conditions, share: float) -> Conditions:
    """Conditions with blink and action units of a random `share` of the frames set to 0."""
    kept = (torch.rand_like(conditions.eye, dtype=torch.float32) >= share).to(conditions.eye.dtype)
    units = conditions.action_units
    return replace(conditions, eye=conditions.eye * kept, action_units=None if units is None else units * kept[:, None])


def intensities(conditions: Conditions, units: Sequence[str]) -> Float[Tensor, "frame unit"]:
    """Action units of the frames. Raises UserError where their number differs from the model's."""
    values = conditions.action_units
    if values is None or values.shape[1] != len(units):
        found = 0 if values is None else values.shape[1]
        raise UserError(
            f"the model expects the action units {', '.join(units)}, but the frames have {found}: set "
            "dataset.action_units to these"
        )
    return values.float()
