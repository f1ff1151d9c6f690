"""Spatial encoding: base of the modules from positions in a box around the head to features."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from talksplat.errors import UserError

PLANE_AXES = (
    slice(0, 2),
    slice(0, 3, 2),
    slice(1, 3),
)  # xy, xz, yz; slices, since a list of numbers is copied to the GPU at each use


class SpatialEncoding(nn.Module):
    """Base: maps positions from the box of the start points to [-1, 1].

    Args:
        margin: size of the box relative to that of the start points (1.0: original; its torso branch 2.0).
        out_features: length of the feature vector of a position.

    Raises:
        UserError: the margin is not positive.
    """

    PERSONAL = ("*",)
    bounds: Float[Tensor, "2 3"]  # lowest and highest corner of the box, dm

    def __init__(self, margin: float, out_features: int):
        super().__init__()
        if margin <= 0:
            raise UserError(f"triplane.margin={margin} must be positive")
        self.margin, self.out_features = margin, out_features
        self.register_buffer("bounds", torch.tensor([[-1.0] * 3, [1.0] * 3]))

    @torch.no_grad()
    def fit_bounds(self, points: Float[Tensor, "point 3"]) -> None:
        """Set the box to that of `points` (dm), scaled by `margin` about its centre."""
        low, high = points.amin(0), points.amax(0)
        half = ((high - low) / 2).clamp_min(1e-3) * self.margin
        self.bounds.copy_(torch.stack([(low + high) / 2 - half, (low + high) / 2 + half]))

    def on_planes(self, means: Float[Tensor, "gaussian 3"]) -> Float[Tensor, "plane gaussian 2"]:
        """Positions in dm on the planes xy, xz and yz: [-1, 1] inside the box."""
        low, high = self.bounds
        position = 2 * (means - low) / (high - low) - 1
        return torch.stack([position[:, axes] for axes in PLANE_AXES])
