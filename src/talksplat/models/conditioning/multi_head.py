"""Multi-head attention from Gaussians to condition tokens (GaussianTalker)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from talksplat.errors import UserError
from talksplat.models.conditioning.fusion import ConditionFusion


class MultiHeadAttention(ConditionFusion):
    """Multi-head attention from many Gaussians to few tokens, with keys and values folded into the projections.

    With K_h and V_h the keys and values of a frame, logits are X (W_q^T K_h^T / sqrt(d)) + b_q K_h^T / sqrt(d) and the
    output is the sum over heads of P_h (V_h W_o,h^T), plus b_o. There are far more Gaussians than
    tokens, so folding both projections into the few keys and values leaves products over Gaussians with heads x tokens
    columns instead of `width`: the same function at an eighth of the work (GaussianTalker).

    Args:
        width: of features and tokens.
        num_heads: original 2.

    Raises:
        UserError: the width is not a multiple of the number of heads.
    """

    def __init__(self, width: int, num_heads: int = 2):
        super().__init__()
        if num_heads < 1 or width % num_heads:
            raise UserError(f"cross_attention: width={width} must be a multiple of mixer.num_heads={num_heads}")
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
        prepared: None,
        tokens: Float[Tensor, "frame token width"],
        prior: Float[Tensor, "gaussian token"] | None = None,
    ) -> Float[Tensor, "frame gaussian width"]:
        """Attended values; see `ConditionFusion`."""
        values = self.value(tokens).unflatten(-1, (self.num_heads, self.head_width))
        project = self.output.weight.to(values.dtype).unflatten(1, (self.num_heads, self.head_width))
        folded = torch.einsum("bthd,chd->bhtc", values, project).flatten(1, 2)
        weights = self._head_weights(queries, tokens, prior).flatten(2).to(folded.dtype)
        return torch.baddbmm(self.output.bias.to(folded.dtype), weights, folded)

    def weights(
        self,
        queries: Float[Tensor, "*frame gaussian width"],
        prepared: None,
        tokens: Float[Tensor, "frame token width"],
        prior: Float[Tensor, "gaussian token"] | None = None,
    ) -> Float[Tensor, "frame gaussian token"]:
        """Mean over the heads."""
        return self._head_weights(queries, tokens, prior).mean(dim=2)

    def _head_weights(
        self,
        queries: Float[Tensor, "*frame gaussian width"],
        tokens: Float[Tensor, "frame token width"],
        prior: Float[Tensor, "gaussian token"] | None,
    ) -> Float[Tensor, "frame gaussian head token"]:
        """Softmax over the tokens of each head."""
        keys = self.key(tokens).unflatten(-1, (self.num_heads, self.head_width)) * self.head_width**-0.5
        project = self.query.weight.to(keys.dtype).unflatten(0, (self.num_heads, self.head_width))
        bias = self.query.bias.to(keys.dtype).unflatten(0, (self.num_heads, self.head_width))
        folded = torch.einsum("bthd,hdc->bhtc", keys, project).flatten(1, 2)
        offset = torch.einsum("bthd,hd->bht", keys, bias).flatten(1)
        if queries.ndim == 2:  # queries are shared by all frames: one product, without a copy per frame
            logits = nn.functional.linear(queries, folded.flatten(0, 1), offset.flatten())
            logits = logits.unflatten(-1, folded.shape[:2]).transpose(0, 1)
        else:
            logits = torch.baddbmm(offset[:, None], queries.to(folded.dtype), folded.mT)
        logits = logits.unflatten(-1, (self.num_heads, -1))
        return torch.softmax(logits if prior is None else logits + prior[:, None].to(logits.dtype), dim=-1)
