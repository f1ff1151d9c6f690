"""A model whose motion network is common to the people that it is trained on."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from talksplat.models.conditioning.tokens import ConditionTokens
from talksplat.models.deformation.base import Deformation
from talksplat.models.talking_head import TalkingHead

CODES = 6


class MotionField(nn.Module):
    """Tokens of a frame to a motion code, the same for everybody."""

    def __init__(self, tokens: ConditionTokens, width: int):
        super().__init__()
        self.tokens = tokens
        self.network = nn.Sequential(nn.Linear(width, 16), nn.ReLU(), nn.Linear(16, CODES))

    def fit(self, subject) -> None:
        self.tokens.fit(subject)

    def forward(self, conditions) -> Tensor:
        return self.network(self.tokens(conditions).mean(1))


class CodeShift(Deformation):
    """Offsets of positions linear in the motion code, with directions of each Gaussian's own."""

    PERSONAL = ("*",)

    def __init__(self, features: int):
        super().__init__()
        self.directions = nn.Linear(features, 3 * CODES)
        nn.init.normal_(self.directions.weight, std=1e-2)

    def forward(self, prepared: Tensor, signals: Mapping[str, Tensor], conditions) -> dict[str, Tensor]:
        directions = self.directions(prepared).unflatten(-1, (3, CODES))
        return {"means": torch.einsum("nik,bk->bni", directions, signals["motion"]).float()}


class SharedMotion(TalkingHead):
    """One layer, moved by a shared motion field."""

    def __init__(self, gaussians, triplane, canonical, tokens, width, max_points, personal):
        shared = {"motion": MotionField(tokens, width)}
        super().__init__(
            gaussians, triplane, canonical, CodeShift(triplane.out_features), shared, personal, 0.0, max_points
        )
