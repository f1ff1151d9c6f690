"""The condition token of facial expression: action units beside the blink."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from talksplat.errors import UserError
from talksplat.models.tokens import TokenMLP
from talksplat.types import Conditions


class ExpressionToken(nn.Module):
    """Intensities of facial action units beside the blink, through a small network.

    Args:
        units: their names, as `dataset.action_units` lists them.
        width: of the token.
        bias: whether the network has biases; without them a face at rest gives a token of zeros.
    """

    def __init__(self, units: Sequence[str], width: int = 64, bias: bool = False):
        super().__init__()
        if not units:
            raise UserError("model.tokens.expression has no units: name columns of au.csv in dataset.action_units")
        self.units = tuple(units)
        self.projection = TokenMLP(len(self.units), width, bias)

    def forward(self, conditions: Conditions) -> Float[Tensor, "frame width"]:
        """One token a frame. Raises UserError where the frames have no such intensities."""
        values = conditions.action_units
        if values is None or values.shape[1] != len(self.units):
            found = 0 if values is None else values.shape[1]
            raise UserError(
                f"the model expects the action units {', '.join(self.units)}, but the frames have {found}: set "
                "dataset.action_units to these"
            )
        return self.projection(values.float())
