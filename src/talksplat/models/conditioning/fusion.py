"""Condition fusion: interface of the modules that combine Gaussian features with condition tokens."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn


class ConditionFusion(nn.Module):
    """Base: fuses the tokens of a frame into the features of each Gaussian, by attention or by a plain Linear.

    Queries without a frame axis are shared by all frames. What depends on them alone is computed by `prepare`: once per
    step in training, once for all frames of a video in rendering.
    """

    has_weights = True  # whether `weights` exists
    takes_prior = True
    num_tokens: int | None = None  # required number of tokens; None: any

    def prepare(
        self, queries: Float[Tensor, "*frame gaussian width"], means: Float[Tensor, "gaussian 3"]
    ) -> Any:  # what `forward` and `weights` take as `prepared`
        """Precompute what does not depend on the tokens."""
        return None

    def forward(
        self,
        queries: Float[Tensor, "*frame gaussian width"],
        prepared: Any,
        tokens: Float[Tensor, "frame token width"],
        prior: Float[Tensor, "gaussian token"] | None = None,
    ) -> Float[Tensor, "frame gaussian width"]:
        """Fused features of each Gaussian. `prior` is added to the logits of the weights."""
        raise NotImplementedError

    def weights(
        self,
        queries: Float[Tensor, "*frame gaussian width"],
        prepared: Any,
        tokens: Float[Tensor, "frame token width"],
        prior: Float[Tensor, "gaussian token"] | None = None,
    ) -> Float[Tensor, "frame gaussian token"]:
        """Weight of each token for each Gaussian; rows sum to one."""
        raise NotImplementedError
