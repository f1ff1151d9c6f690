"""Facial expression as blendshapes: offsets linear in the intensities of action units."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from talksplat.models.conditioning.expression import intensities
from talksplat.models.deformation.motion import linear_offsets
from talksplat.models.heads import without_autocast
from talksplat.types import Conditions


class ExpressionOffsets(nn.Module):
    """Offsets of Gaussians' positions, linear in the intensities: one blendshape per unit, as in linear face models.

    A few seconds of video show few expressions; a linear map extrapolates to unseen mixtures and strengths.

    Args:
        in_features: width of the tri-plane features, from which each Gaussian's blendshapes come.
        units: their names, as `dataset.action_units` lists them; empty: no offsets.
        hidden: width of the network.
    """

    def __init__(self, in_features: int, units: Sequence[str], hidden: int = 64):
        super().__init__()
        self.units = tuple(units)
        if not self.units:
            return
        self.network = linear_offsets(in_features, hidden, 3 * len(self.units))

    def forward(
        self, features: Float[Tensor, "gaussian feature"], conditions: Conditions
    ) -> Float[Tensor, "frame gaussian 3"]:
        """Offsets in dm, float32. Raises UserError where the frames have no such intensities."""
        with without_autocast(features):
            shapes = self.network(features.float()).unflatten(-1, (3, len(self.units)))
            return torch.einsum("niu,bu->bni", shapes, intensities(conditions, self.units))
