"""Kolmogorov-Arnold layers as single matrix products (EGSTalker)."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear, silu

from talksplat.errors import UserError
from talksplat.models.heads import without_autocast

BASES = ("taylor", "chebyshev", "fourier")


class KANLinear(nn.Module):
    """y_o = b_o + sum_i (w_oi SiLU(x_i) + sum_k c_koi phi_k(x_i)): a learned function on each edge.

    The functions phi_k depend on the input alone, so all edges together are one product, [SiLU(x), phi_1(x), ...] times the
    coefficients side by side; constant functions go into the bias.

    Args:
        in_features, out_features: widths.
        basis: "taylor" (powers x^0 .. x^(order - 1), the original), "chebyshev" (polynomials T_0 .. T_(order - 1) of
            tanh x) or "fourier" (cos kx and sin kx for k = 1 .. order).
        order: original 3.
        gain: factor on all initial values; 0: outputs are zero at the start.

    Raises:
        UserError: unknown basis, or order below 1.
    """

    def __init__(self, in_features: int, out_features: int, basis: str = "taylor", order: int = 3, gain: float = 1.0):
        super().__init__()
        if basis not in BASES or order < 1:
            raise UserError(f"KAN: basis={basis!r} must be one of {', '.join(BASES)}, and order={order} at least 1")
        self.in_features, self.out_features = in_features, out_features
        self.basis, self.order = basis, order
        functions = 2 * order if basis == "fourier" else order
        self.base = nn.Parameter(torch.empty(out_features, in_features))
        self.coefficients = nn.Parameter(torch.empty(functions, out_features, in_features))
        self.bias = nn.Parameter(torch.empty(out_features))
        nn.init.kaiming_uniform_(self.base, a=math.sqrt(5))
        nn.init.normal_(self.coefficients, std=1 / (in_features * math.sqrt(functions)))
        nn.init.uniform_(self.bias, -(in_features**-0.5), in_features**-0.5)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.mul_(gain)

    def forward(self, features: Float[Tensor, "*batch feature"]) -> Float[Tensor, "*batch out"]:
        """One product."""
        return linear(self.expand(features), *self.folded())

    def expand(self, features: Float[Tensor, "*batch feature"]) -> Float[Tensor, "*batch value"]:
        """The left factor of the product: SiLU of all features, then each function of all features."""
        return torch.cat([silu(features), *self.functions(features)], dim=-1)

    def folded(self) -> tuple[Float[Tensor, "out value"], Float[Tensor, " out"]]:
        """The right factor, and the bias with the coefficients of the constant functions."""
        constant = 0 if self.basis == "fourier" else 1  # of the functions, those that are 1 everywhere
        weight = torch.cat([self.base, *self.coefficients[constant:]], dim=1)
        return weight, self.bias + self.coefficients[:constant].sum(dim=(0, 2))

    def functions(self, features: Float[Tensor, "*batch feature"]) -> list[Float[Tensor, "*batch feature"]]:
        """phi_k of the features, in the order of the coefficients, without the constant one."""
        if self.basis == "fourier":
            angles = [k * features for k in range(1, self.order + 1)]
            return [angle.cos() for angle in angles] + [angle.sin() for angle in angles]
        first = torch.tanh(features) if self.basis == "chebyshev" else features
        values = [first]
        for _ in range(2, self.order):
            if self.basis == "taylor":
                values.append(values[-1] * first)
            else:
                values.append(2 * first * values[-1] - (values[-2] if len(values) > 1 else torch.ones_like(first)))
        return values[: self.order - 1]


class TokenKAN(nn.Sequential):
    """KAN layer, ReLU, KAN layer to the width of a token. Powers are taken in float32: a frame has few tokens."""

    def __init__(self, in_features: int, width: int = 64, basis: str = "taylor", order: int = 3):
        super().__init__(KANLinear(in_features, width, basis, order), nn.ReLU(), KANLinear(width, width, basis, order))

    def forward(self, features: Float[Tensor, "*batch feature"]) -> Float[Tensor, "*batch width"]:
        """Tokens, float32."""
        with without_autocast(features):
            return super().forward(features.float())
