"""Deformation: features of Gaussians to offsets of their raw attributes (GaussianTalker)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from talksplat.errors import UserError
from talksplat.models.gaussians.parameters import ATTRIBUTES, attribute_widths
from talksplat.models.heads import FusedHeads, JoinedHeads, attribute_shaped
from talksplat.models.subject_statistics import SubjectStatistics
from talksplat.types import Conditions


class Deformation(nn.Module):
    """Base: offsets of a layer's Gaussians from the conditions of a frame.

    `signals` are the outputs of the avatar's shared modules by name: "tokens" [frame, token, width] in GaussianTalker.
    """

    has_attention = False  # whether `attention` is implemented

    def fit(self, subject: SubjectStatistics) -> None:
        """Set what is fitted to the training frames."""

    def prepare(self, features: Float[Tensor, "gaussian feature"], means: Float[Tensor, "gaussian 3"]) -> Any:
        """Precompute what no condition changes: once per step in training, once for all frames of a video in rendering."""
        return features

    def forward(self, prepared: Any, signals: Mapping[str, Tensor], conditions: Conditions) -> dict[str, Tensor]:
        """Offsets [frame, gaussian, ...] of raw attributes, named as in `RawGaussians`, float32."""
        raise NotImplementedError

    def attention(self, prepared: Any, signals: Mapping[str, Tensor]) -> Float[Tensor, "frame gaussian token"]:
        """Attention weights of each Gaussian on each token, where `has_attention`."""
        raise NotImplementedError


class DeformationHeads(nn.Module):
    """One head per deformed attribute, all five in the original.

    Args:
        in_features: width of the attended features.
        hidden: width of each head.
        attributes: which of means, scales, quats, opacities and sh are deformed.
        sh_degree: as of the Gaussians.
        output_gain: Xavier gain of the output layers; 0 starts without deformation, the original has 0.1.
        heads: makes the heads from in_features, hidden, their widths and output_gain.

    Raises:
        UserError: unknown attributes, or none.
    """

    def __init__(
        self,
        in_features: int = 64,
        hidden: int = 128,
        attributes: Sequence[str] = ATTRIBUTES,
        sh_degree: int = 3,
        output_gain: float = 0.0,
        heads: Callable[..., JoinedHeads] = FusedHeads,
    ):
        super().__init__()
        unknown = sorted(set(attributes) - set(ATTRIBUTES))
        if unknown or not attributes:
            raise UserError(f"deformation.attributes={list(attributes)} must be some of {', '.join(ATTRIBUTES)}")
        widths = attribute_widths(sh_degree)
        self.attributes = tuple(name for name in ATTRIBUTES if name in attributes)
        self.in_features = in_features
        self.sh_degree = sh_degree
        self.heads = heads(in_features, hidden, {name: widths[name] for name in self.attributes}, output_gain)

    def forward(self, features: Float[Tensor, "frame gaussian feature"]) -> dict[str, Tensor]:
        """Offsets of the deformed attributes, named and shaped as in `RawGaussians`, in float32."""
        return attribute_shaped(self.heads(features))
