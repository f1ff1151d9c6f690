"""Spatial-audio attention: Gaussians ask, condition tokens answer (GaussianTalker section 3.4)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from talksplat.errors import UserError
from talksplat.models.dropout import Dropout


class FoldedCrossAttention(nn.Module):
    """Multi-head attention from many Gaussians to few tokens, with keys and values folded into the projections.

    With K_h and V_h the keys and values of a frame, logits are X (W_q^T K_h^T / sqrt(d)) + b_q K_h^T / sqrt(d) and the
    output is the sum over heads of P_h (V_h W_o,h^T), plus b_o. So the products over Gaussians have heads x tokens
    columns in place of `width`: same mathematics, an eighth of the work (GaussianTalker section 10, row 5).
    """

    def __init__(self, width: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.head_width = width // num_heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)
        for layer in (self.query, self.key, self.value, self.output):
            nn.init.xavier_uniform_(layer.weight)

    def forward(
        self,
        queries: Float[Tensor, "*frame gaussian width"],
        tokens: Float[Tensor, "frame token width"],
        prior: Float[Tensor, "gaussian token"] | None = None,
    ) -> Float[Tensor, "frame gaussian width"]:
        """Attended values; `queries` without a frame axis are shared by all frames."""
        values = self.value(tokens).unflatten(-1, (self.num_heads, self.head_width))
        project = self.output.weight.to(values.dtype).unflatten(1, (self.num_heads, self.head_width))
        folded = torch.einsum("bthd,chd->bhtc", values, project).flatten(1, 2)
        weights = self.weights(queries, tokens, prior).flatten(2).to(folded.dtype)
        return torch.baddbmm(self.output.bias.to(folded.dtype), weights, folded)

    def weights(
        self,
        queries: Float[Tensor, "*frame gaussian width"],
        tokens: Float[Tensor, "frame token width"],
        prior: Float[Tensor, "gaussian token"] | None = None,
    ) -> Float[Tensor, "frame gaussian head token"]:
        """Softmax over the tokens of each head."""
        keys = self.key(tokens).unflatten(-1, (self.num_heads, self.head_width)) * self.head_width**-0.5
        project = self.query.weight.to(keys.dtype).unflatten(0, (self.num_heads, self.head_width))
        bias = self.query.bias.to(keys.dtype).unflatten(0, (self.num_heads, self.head_width))
        folded = torch.einsum("bthd,hdc->bhtc", keys, project).flatten(1, 2)
        offset = torch.einsum("bthd,hd->bht", keys, bias).flatten(1)
        if queries.ndim == 2:  # one product for all frames, without a copy of the queries for each
            logits = nn.functional.linear(queries, folded.flatten(0, 1), offset.flatten())
            logits = logits.unflatten(-1, folded.shape[:2]).transpose(0, 1)
        else:
            logits = torch.baddbmm(offset[:, None], queries.to(folded.dtype), folded.mT)
        logits = logits.unflatten(-1, (self.num_heads, -1))
        return torch.softmax(logits if prior is None else logits + prior[:, None].to(logits.dtype), dim=-1)


class AttentionLayer(nn.Module):
    """Post-norm transformer layer: x = LN(x + attention), x = LN(x + FFN), dropout after both and inside the FFN."""

    def __init__(self, width: int, num_heads: int, ffn_width: int, dropout: float, norm_eps: float):
        super().__init__()
        self.attention = FoldedCrossAttention(width, num_heads)
        self.attention_norm = nn.LayerNorm(width, eps=norm_eps)
        self.ffn = nn.Sequential(nn.Linear(width, ffn_width), nn.ReLU(), Dropout(dropout), nn.Linear(ffn_width, width))
        self.ffn_norm = nn.LayerNorm(width, eps=norm_eps)
        self.dropout = Dropout(dropout)

    def forward(
        self,
        queries: Float[Tensor, "*frame gaussian width"],
        tokens: Float[Tensor, "frame token width"],
        prior: Float[Tensor, "gaussian token"] | None = None,
    ) -> Float[Tensor, "frame gaussian width"]:
        """Features of every Gaussian in every frame."""
        attended = self.attention_norm(queries + self.dropout(self.attention(queries, tokens, prior)))
        return self.ffn_norm(attended + self.dropout(self.ffn(attended)))


class SpatialAudioAttention(nn.Module):
    """A stack of `AttentionLayer`; the tri-plane features are the first queries, the same in all frames.

    Args:
        width: of features and tokens.
        num_heads, num_layers, ffn_width: original 2, 1 or 2, 128.
        dropout: original 0.2.
        norm_eps: of the layer norms; original 1e-12, below what bfloat16 or float32 can tell from nothing.
        normalize_queries: a layer norm on the features first. As they start near 0.03 and tokens near 1, a Gaussian's
            place otherwise hardly counts until the planes have grown.

    Raises:
        UserError: the width does not divide among the heads, or there is no layer.
    """

    def __init__(
        self,
        width: int = 64,
        num_heads: int = 2,
        num_layers: int = 1,
        ffn_width: int = 128,
        dropout: float = 0.1,
        norm_eps: float = 1e-5,
        normalize_queries: bool = True,
    ):
        super().__init__()
        if width % num_heads or num_layers < 1:
            raise UserError(
                f"cross_attention: width={width} must be a multiple of num_heads={num_heads}, "
                f"and num_layers={num_layers} at least 1"
            )
        self.width = width
        self.query_norm = nn.LayerNorm(width) if normalize_queries else nn.Identity()
        self.layers = nn.ModuleList(
            AttentionLayer(width, num_heads, ffn_width, dropout, norm_eps) for _ in range(num_layers)
        )

    def forward(
        self,
        features: Float[Tensor, "gaussian width"],
        tokens: Float[Tensor, "frame token width"],
        prior: Float[Tensor, "gaussian token"] | None = None,
    ) -> Float[Tensor, "frame gaussian width"]:
        """Features of N Gaussians informed by the tokens of B frames."""
        queries = self.query_norm(features)
        for layer in self.layers:
            queries = layer(queries, tokens, prior)
        return queries

    def weights(
        self,
        features: Float[Tensor, "gaussian width"],
        tokens: Float[Tensor, "frame token width"],
        prior: Float[Tensor, "gaussian token"] | None = None,
    ) -> Float[Tensor, "frame gaussian token"]:
        """How much each Gaussian attends to each token: mean over the heads of the last layer."""
        queries = self.query_norm(features)
        for layer in self.layers[:-1]:
            queries = layer(queries, tokens, prior)
        return self.layers[-1].attention.weights(queries, tokens, prior).mean(dim=2)
