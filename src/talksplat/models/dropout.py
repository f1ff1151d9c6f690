"""Dropout that is fast on a CPU, where torch's costs more than the layer before it."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Dropout(nn.Module):
    """Inverted dropout. On a CPU one random 64-bit number serves eight elements, ten times faster than torch's; the
    probability is then rounded to 1/256.

    Args:
        probability: of an element becoming zero while training.
    """

    def __init__(self, probability: float):
        super().__init__()
        if not 0 <= probability < 1:
            raise ValueError(f"dropout probability {probability} must be at least 0 and below 1")
        self.probability = probability
        self.keep = max(round(256 * (1 - probability)), 1)

    def forward(self, features: Tensor) -> Tensor:
        """`features` with some elements zero and the others scaled up; unchanged in evaluation."""
        if not self.training or self.keep == 256:
            return features
        if features.device.type != "cpu":
            return nn.functional.dropout(features, self.probability)
        count = features.numel()
        words = torch.empty((count + 7) // 8, dtype=torch.int64).random_(-(2**63), None)
        kept = words.view(torch.uint8)[:count].view(features.shape) <= self.keep - 1
        return features * kept.to(features.dtype).mul_(256 / self.keep)
