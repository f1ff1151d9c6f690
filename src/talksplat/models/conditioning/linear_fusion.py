"""Condition fusion without attention: the baselines of GaussianTalker."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from talksplat.errors import UserError
from talksplat.models.conditioning.fusion import ConditionFusion


class LinearFusion(ConditionFusion):
    """Base: a Linear on the concatenated tokens, computed as a sum over tokens, joined with a Linear on the features.

    Every token has the same effect on all Gaussians. The exponential of a prior scales the summand of each token.

    Args:
        width: of features and tokens.
        num_tokens: per frame.
    """

    has_weights = False

    def __init__(self, width: int, num_tokens: int):
        super().__init__()
        if num_tokens < 1:
            raise UserError(f"cross_attention.mixer.num_tokens={num_tokens} must be at least 1")
        self.num_tokens = num_tokens
        self.query = nn.Linear(width, width, bias=False)
        self.tokens = nn.Linear(num_tokens * width, width)
        nn.init.xavier_uniform_(self.query.weight)
        nn.init.xavier_uniform_(self.tokens.weight)
        nn.init.zeros_(self.tokens.bias)

    def prepare(
        self, queries: Float[Tensor, "*frame gaussian width"], means: Float[Tensor, "gaussian 3"]
    ) -> Float[Tensor, "*frame gaussian width"]:
        """Linear on the features."""
        return self.query(queries)

    def forward(
        self,
        queries: Float[Tensor, "*frame gaussian width"],
        prepared: Float[Tensor, "*frame gaussian width"],
        tokens: Float[Tensor, "frame token width"],
        prior: Float[Tensor, "gaussian token"] | None = None,
    ) -> Float[Tensor, "frame gaussian width"]:
        """See `ConditionFusion`."""
        return self.join(prepared, self._token_share(tokens, prior))

    def join(
        self, feature_share: Float[Tensor, "*frame gaussian width"], token_share: Float[Tensor, "frame _ width"]
    ) -> Float[Tensor, "frame gaussian width"]:
        """Join the Linear outputs of features and tokens."""
        raise NotImplementedError

    def _token_share(
        self, tokens: Float[Tensor, "frame token width"], prior: Float[Tensor, "gaussian token"] | None
    ) -> Float[Tensor, "frame _ width"]:
        if prior is None:
            return self.tokens(tokens.flatten(1))[:, None]
        matrices = self.tokens.weight.to(tokens.dtype).unflatten(1, (self.num_tokens, -1))
        each = torch.einsum("btd,ctd->btc", tokens, matrices)
        return torch.matmul(prior.exp().to(each.dtype), each) + self.tokens.bias.to(each.dtype)


class Concatenation(LinearFusion):
    """A Linear on a Gaussian's features and all tokens side by side."""

    def join(
        self, feature_share: Float[Tensor, "*frame gaussian width"], token_share: Float[Tensor, "frame _ width"]
    ) -> Float[Tensor, "frame gaussian width"]:
        """Their sum."""
        return feature_share + token_share


class ElementwiseProduct(LinearFusion):
    """A Linear on a Gaussian's features times a Linear on all tokens, element by element."""

    def join(
        self, feature_share: Float[Tensor, "*frame gaussian width"], token_share: Float[Tensor, "frame _ width"]
    ) -> Float[Tensor, "frame gaussian width"]:
        """Their product."""
        return feature_share * token_share
