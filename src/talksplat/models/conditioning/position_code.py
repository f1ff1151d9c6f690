"""Periodic positional encoding of the condition tokens (EGSTalker)."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from talksplat.errors import UserError
from talksplat.models.dropout import Dropout

AXES = ("token", "time")


class PeriodicPositionCode(nn.Module):
    """Adds PE(t, 2i) = sin((t mod p) / 10000^(2i / d)) and PE(t, 2i + 1) = cos(same), then dropout.

    Args:
        width: d, of a token.
        axis: "token" (original): t is the index of the token in its frame, so the code distinguishes tokens and carries no
            time; "time" (as the paper's text suggests): t is the frame number, the same for all tokens of a frame.
        period: p; original 25, which is one second along time.
        dropout: original 0.1.

    Raises:
        UserError: unknown axis, a period below 1 or an odd width.
    """

    def __init__(self, width: int = 64, axis: str = "token", period: int = 25, dropout: float = 0.1):
        super().__init__()
        if axis not in AXES or period < 1 or width % 2:
            raise UserError(
                f"tokens.position_code: axis={axis!r} must be one of {', '.join(AXES)}, period={period} at least 1 and "
                f"width={width} even"
            )
        self.axis, self.period = axis, period
        rates = 10000.0 ** (-torch.arange(0, width, 2) / width)
        angles = torch.arange(period)[:, None] * rates
        table = torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)
        self.register_buffer("table", table, persistent=False)
        self.dropout = Dropout(dropout)

    def forward(
        self, tokens: Float[Tensor, "frame token width"], frames: Int[Tensor, " frame"] | None
    ) -> Float[Tensor, "frame token width"]:
        """Coded tokens. `frames` are the frame numbers, needed for axis "time" only."""
        if self.axis == "token":
            places = torch.arange(tokens.shape[1], device=tokens.device) % self.period
            return self.dropout(tokens + self.table[places])
        if frames is None:
            raise UserError("tokens.position_code.axis=time needs the frames' numbers, which these conditions lack")
        return self.dropout(tokens + self.table[frames.long() % self.period][:, None])
