"""Audio attention prior: attention to the audio token decreases with the distance from the mouth."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from talksplat.errors import UserError


class AudioAttentionPrior(nn.Module):
    """Additive logit of the audio and lip tokens by the distance d from the mouth: -(max(d - inner, 0) / width)^2.

    On a short clip the audio identifies every frame. Without the prior, hair and forehead overfit to it (they memorise
    their state in each training frame) and move at random with new speech.

    Args:
        inner: radius (dm) around the mouth with logit 0: lips, jaw, lower cheeks.
        width: dm beyond it at which the logit is -1; at twice the distance it is -4.
    """

    PERSONAL = ("center",)
    center: Float[Tensor, 3]

    def __init__(self, inner: float = 0.6, width: float = 0.25):
        super().__init__()
        if inner < 0 or width <= 0:
            raise UserError(f"model.reach: inner={inner} must not be negative and width={width} must be positive")
        self.inner, self.width = inner, width
        self.register_buffer("center", torch.full((3,), float("nan")))

    @torch.no_grad()
    def fit(self, center: Float[Tensor, 3]) -> None:
        """Set the position of the mouth (dm)."""
        self.center.copy_(center)

    def forward(
        self, means: Float[Tensor, "gaussian 3"], token_names: Sequence[str]
    ) -> Float[Tensor, "gaussian token"]:
        """Addend of the attention's logits; zero where the position of the mouth is unknown."""
        distance = (means - self.center).norm(dim=-1)
        logit = -(((distance - self.inner).clamp_min(0) / self.width) ** 2).nan_to_num(0.0)
        return torch.stack(
            [logit if name in ("audio", "lips") else torch.zeros_like(logit) for name in token_names], dim=-1
        )
