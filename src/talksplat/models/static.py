"""Static head without audio: the lower baseline of comparisons."""

from __future__ import annotations

from collections.abc import Sequence

from talksplat.models.gaussians.canonical import CanonicalMLP
from talksplat.models.gaussians.parameters import GaussianParameters
from talksplat.models.gaussians.spatial_encoding import SpatialEncoding
from talksplat.models.talking_head import TalkingHead


class StaticHead(TalkingHead):
    """The canonical head in both modes: predicted factors in "canonical", explicit parameters in "deform"; only the
    camera moves. The difference to a driven model is the effect of its deformation.

    Args:
        gaussians, triplane, canonical, personal, max_points: see `TalkingHead`.
    """

    def __init__(
        self,
        gaussians: GaussianParameters,
        triplane: SpatialEncoding,
        canonical: CanonicalMLP,
        personal: Sequence[str] = (),
        max_points: int = 524_288,
    ):
        super().__init__(gaussians, triplane, canonical, personal=personal, max_points=max_points)
