"""Spatial-audio attention: transformer layers from Gaussians to condition tokens (GaussianTalker)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from talksplat.errors import UserError
from talksplat.models.conditioning.fusion import ConditionFusion
from talksplat.models.dropout import Dropout


class AttentionLayer(nn.Module):
    """Post-norm transformer layer: x = LN(x + mixed), x = LN(x + FFN), dropout after both and inside the FFN."""

    def __init__(self, mixer: ConditionFusion, width: int, ffn_width: int, dropout: float, norm_eps: float):
        super().__init__()
        self.mixer = mixer
        self.mixer_norm = nn.LayerNorm(width, eps=norm_eps)
        self.ffn = nn.Sequential(nn.Linear(width, ffn_width), nn.ReLU(), Dropout(dropout), nn.Linear(ffn_width, width))
        self.ffn_norm = nn.LayerNorm(width, eps=norm_eps)
        self.dropout = Dropout(dropout)

    def forward(
        self,
        queries: Float[Tensor, "*frame gaussian width"],
        prepared: Any,
        tokens: Float[Tensor, "frame token width"],
        prior: Float[Tensor, "gaussian token"] | None = None,
    ) -> Float[Tensor, "frame gaussian width"]:
        """Features of every Gaussian in every frame."""
        mixed = self.mixer_norm(queries + self.dropout(self.mixer(queries, prepared, tokens, prior)))
        return self.ffn_norm(mixed + self.dropout(self.ffn(mixed)))


@dataclass
class PreparedQueries:
    """Condition-independent inputs of the first layer."""

    queries: Float[Tensor, "gaussian width"]
    means: Float[Tensor, "gaussian 3"]
    mixing: Any
    prior: Float[Tensor, "gaussian token"] | None


class SpatialAudioAttention(nn.Module):
    """Stack of `AttentionLayer`; the queries of the first are the tri-plane features, the same in all frames.

    Args:
        mixer: makes the `ConditionFusion` of a layer from the width.
        width: of features and tokens.
        num_layers, ffn_width: original 1 or 2, 128.
        dropout: original 0.2 (GaussianTalker), 0.1 (EGSTalker).
        norm_eps: of the layer norms; original 1e-12, which vanishes next to a variance in float32 or bfloat16.
        normalize_queries: a layer norm on the features first. They start near 0.03 and tokens near 1, so the position
            of a Gaussian otherwise has little effect until the planes have grown.

    Raises:
        UserError: `num_layers` is below 1.
    """

    def __init__(
        self,
        mixer: Callable[[int], ConditionFusion],
        width: int = 64,
        num_layers: int = 1,
        ffn_width: int = 128,
        dropout: float = 0.1,
        norm_eps: float = 1e-5,
        normalize_queries: bool = True,
    ):
        super().__init__()
        if num_layers < 1:
            raise UserError(f"cross_attention.num_layers={num_layers} must be at least 1")
        self.width = width
        self.query_norm = nn.LayerNorm(width) if normalize_queries else nn.Identity()
        self.layers = nn.ModuleList(
            AttentionLayer(mixer(width), width, ffn_width, dropout, norm_eps) for _ in range(num_layers)
        )

    @property
    def has_weights(self) -> bool:
        """Whether the last layer has attention weights."""
        return self.layers[-1].mixer.has_weights

    @property
    def takes_prior(self) -> bool:
        """Whether a prior is supported."""
        return self.layers[0].mixer.takes_prior

    @property
    def num_tokens(self) -> int | None:
        """Required number of tokens; None: any."""
        return self.layers[0].mixer.num_tokens

    def prepare(
        self,
        features: Float[Tensor, "gaussian width"],
        means: Float[Tensor, "gaussian 3"],
        prior: Float[Tensor, "gaussian token"] | None = None,
    ) -> PreparedQueries:
        """Precompute what no condition changes: once per step in training, once for all frames of a video in rendering.

        Args:
            features: of the Gaussians.
            means: their positions, dm.
            prior: added to the logits of each token.
        """
        queries = self.query_norm(features)
        return PreparedQueries(queries, means, self.layers[0].mixer.prepare(queries, means), prior)

    def forward(
        self, prepared: PreparedQueries, tokens: Float[Tensor, "frame token width"]
    ) -> Float[Tensor, "frame gaussian width"]:
        """Features of N Gaussians fused with the tokens of B frames."""
        queries = self.layers[0](prepared.queries, prepared.mixing, tokens, prepared.prior)
        for layer in self.layers[1:]:
            queries = layer(queries, layer.mixer.prepare(queries, prepared.means), tokens, prepared.prior)
        return queries

    def weights(
        self, prepared: PreparedQueries, tokens: Float[Tensor, "frame token width"]
    ) -> Float[Tensor, "frame gaussian token"]:
        """Attention weights of each Gaussian on each token in the last layer; rows sum to one."""
        queries, mixing = prepared.queries, prepared.mixing
        for layer, following in zip(self.layers, self.layers[1:]):
            queries = layer(queries, mixing, tokens, prepared.prior)
            mixing = following.mixer.prepare(queries, prepared.means)
        return self.layers[-1].mixer.weights(queries, mixing, tokens, prepared.prior)
