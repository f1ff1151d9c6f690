"""Avatars of one layer: the whole head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import nn

from talksplat.models.avatar import Avatar
from talksplat.models.deformation.base import Deformation
from talksplat.models.gaussians.canonical import CanonicalMLP
from talksplat.models.gaussians.parameters import GaussianParameters, RawGaussians
from talksplat.models.gaussians.spatial_encoding import SpatialEncoding
from talksplat.models.layer import GaussianLayer

FACE = "face"


class TalkingHead(Avatar):
    """Base of the avatars of one layer.

    Args:
        gaussians, triplane, canonical, deformation: of the layer, see `GaussianLayer`.
        shared, personal, unit_dropout, max_points: see `Avatar`.
    """

    def __init__(
        self,
        gaussians: GaussianParameters,
        triplane: SpatialEncoding,
        canonical: CanonicalMLP,
        deformation: Deformation | None = None,
        shared: Mapping[str, nn.Module] | None = None,
        personal: Sequence[str] = (),
        unit_dropout: float = 0.0,
        max_points: int = 524_288,
    ):
        face = GaussianLayer(gaussians, triplane, canonical, deformation)
        super().__init__({FACE: face}, shared, None, personal, unit_dropout, max_points)

    @property
    def face(self) -> GaussianLayer:
        """The layer."""
        return self.layers[FACE]

    @property
    def gaussians(self) -> GaussianParameters:
        """Its Gaussians."""
        return self.face.gaussians

    def canonical_raw(self) -> RawGaussians:
        """Its attributes, with predicted ones instead of the explicit ones."""
        return self.face.canonical_raw()
