"""Multi-resolution tri-plane: features of positions on the head (GaussianTalker)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import grid_sample, interpolate

from talksplat.errors import UserError
from talksplat.models.gaussians.spatial_encoding import SpatialEncoding
from talksplat.models.heads import without_autocast


class TriPlane(SpatialEncoding):
    """Three axis-aligned feature planes per level; their bilinear samples are multiplied and the levels concatenated.

    Positions are mapped from the box of the start points to [-1, 1]; outside, the border's features are used.

    Args:
        resolutions: cells per side of each level.
        channels: features of each level.
        margin: see `SpatialEncoding`.
        init_range: the planes start as uniform noise in this range.
        init_resolution: cells per side of that noise, see `smooth_noise`.
    """

    def __init__(
        self,
        resolutions: Sequence[int] = (64, 128),
        channels: int = 32,
        margin: float = 1.2,
        init_range: Sequence[float] = (0.1, 0.5),
        init_resolution: int | None = 16,
    ):
        super().__init__(margin, channels * len(resolutions))
        if not resolutions or min(resolutions) < 2:
            raise UserError(f"triplane.resolutions={list(resolutions)}: at least one, each at least 2")
        self.planes = nn.ParameterList(
            nn.Parameter(smooth_noise(channels, resolution, init_range, init_resolution)) for resolution in resolutions
        )

    def forward(self, means: Float[Tensor, "gaussian 3"]) -> Float[Tensor, "gaussian feature"]:
        """Features of positions in dm, always in float32. Gradients reach planes and positions."""
        with without_autocast(means):
            coordinates = self.on_planes(means)
            return torch.cat([sample_product(planes, coordinates) for planes in self.planes]).T


def smooth_noise(
    channels: int, resolution: int, init_range: Sequence[float], init_resolution: int | None
) -> Float[Tensor, "3 channel row column"]:
    """Three planes of uniform noise of `init_resolution` cells per side, interpolated to `resolution`, so that neighbours
    start with similar features and move together; None draws every cell independently, as in the original."""
    cells = resolution if init_resolution is None else init_resolution
    noise = torch.empty(3, channels, cells, cells).uniform_(*init_range)
    if cells == resolution:
        return noise
    return interpolate(noise, size=(resolution, resolution), mode="bilinear", align_corners=True)


def sample_product(
    planes: Float[Tensor, "3 channel row column"], coordinates: Float[Tensor, "3 gaussian 2"]
) -> Float[Tensor, "channel gaussian"]:
    """Product of the three planes' bilinear samples; outside [-1, 1] those of the border."""
    xy, xz, yz = grid_sample(planes, coordinates[:, None], padding_mode="border", align_corners=True).squeeze(2)
    return xy * xz * yz
