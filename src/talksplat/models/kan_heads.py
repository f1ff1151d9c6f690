"""Canonical and deformation heads with Kolmogorov-Arnold layers, which EGSTalker's paper describes; its code has Linear
layers (EGSTalker)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from torch import nn

from talksplat.models.deformation.base import DeformationHeads
from talksplat.models.gaussians.canonical import CanonicalMLP
from talksplat.models.gaussians.parameters import ATTRIBUTES
from talksplat.models.heads import JoinedHeads
from talksplat.models.kan import KANLinear


class KANHeads(JoinedHeads):
    """Heads KAN layer-ReLU-KAN layer, as EGSTalker's token networks are.

    Args:
        widths: output size of each head.
        output_gain: factor on the initial values of the last layers; 0: outputs are exactly zero at the start.
        basis, order: see `KANLinear`.
    """

    def __init__(
        self, in_features: int, hidden: int, widths: Mapping[str, int], output_gain: float, basis: str, order: int
    ):
        first = KANLinear(in_features, hidden * len(widths), basis, order)
        outputs = {name: KANLinear(hidden, width, basis, order, output_gain) for name, width in widths.items()}
        super().__init__(first, outputs)


class KANDeformation(DeformationHeads):
    """`DeformationHeads` with `KANHeads`; hidden 32 gives them as many parameters as Linear heads of 128."""

    def __init__(
        self,
        in_features: int = 64,
        hidden: int = 32,
        attributes: Sequence[str] = ATTRIBUTES,
        sh_degree: int = 3,
        output_gain: float = 0.0,
        basis: str = "taylor",
        order: int = 3,
    ):
        heads = partial(KANHeads, basis=basis, order=order)
        super().__init__(in_features, hidden, attributes, sh_degree, output_gain, heads)


class KANCanonical(CanonicalMLP):
    """`CanonicalMLP` with KAN layers in the trunk and `KANHeads`; hidden 56 gives it as many parameters as an MLP of 128."""

    def __init__(
        self,
        in_features: int = 64,
        hidden: int = 56,
        factors: Sequence[str] = ("opacities", "sh"),
        sh_degree: int = 3,
        output_gain: float = 0.1,
        basis: str = "taylor",
        order: int = 3,
    ):
        def trunk(in_features: int, hidden: int) -> nn.Sequential:
            return nn.Sequential(
                KANLinear(in_features, hidden, basis, order), nn.ReLU(), KANLinear(hidden, hidden, basis, order)
            )

        heads = partial(KANHeads, basis=basis, order=order)
        super().__init__(in_features, hidden, factors, sh_degree, output_gain, trunk, heads)
