"""What every way of bringing condition tokens to the Gaussians has in common."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn


class ConditionFusion(nn.Module):
    """Brings the tokens of a frame to each Gaussian: attention, or a plain fusion.

    Queries without a frame axis are shared by all frames, and whatever depends on them alone is worked out once, by
    `prepare`: once a step in training, once for all frames of a video in rendering.
    """

    has_weights = True  # whether `weights` exists
    takes_prior = True
    num_tokens: int | None = None  # how many tokens it was made for; None: any number

    def prepare(
        self, queries: Float[Tensor, "*frame gaussian width"], means: Float[Tensor, "gaussian 3"]
    ) -> Any:  # what `forward` and `weights` take as `prepared`
        """What does not depend on the tokens."""
        return None

    def forward(
        self,
        queries: Float[Tensor, "*frame gaussian width"],
        prepared: Any,
        tokens: Float[Tensor, "frame token width"],
        prior: Float[Tensor, "gaussian token"] | None = None,
    ) -> Float[Tensor, "frame gaussian width"]:
        """What the tokens say to each Gaussian. `prior` is added to the logits of the weights."""
        raise NotImplementedError

    def weights(
        self,
        queries: Float[Tensor, "*frame gaussian width"],
        prepared: Any,
        tokens: Float[Tensor, "frame token width"],
        prior: Float[Tensor, "gaussian token"] | None = None,
    ) -> Float[Tensor, "frame gaussian token"]:
        """How much of each token reaches each Gaussian; each row sums to one."""
        raise NotImplementedError
