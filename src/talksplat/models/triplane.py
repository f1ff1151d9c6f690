"""Multi-resolution tri-plane: features of positions on the head (GaussianTalker section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import grid_sample, interpolate

from talksplat.errors import UserError

PLANE_AXES = ((0, 1), (0, 2), (1, 2))


class TriPlane(nn.Module):
    """Three axis-aligned feature planes a level; their bilinear samples are multiplied and the levels concatenated.

    Positions are mapped from the box of the start points to [-1, 1]; outside, the border's features are used.

    Args:
        resolutions: cells a side of each level.
        channels: features of each level.
        margin: size of the box relative to that of the start points (1.0: original; its torso branch 2.0).
        init_range: the planes start as uniform noise in this range.
        init_resolution: cells a side of that noise, interpolated to the planes, so that neighbours start with like
            features and move together; None draws every cell on its own, as the original does.
    """

    bounds: Float[Tensor, "2 3"]  # lowest and highest corner of the box, dm

    def __init__(
        self,
        resolutions: Sequence[int] = (64, 128),
        channels: int = 32,
        margin: float = 1.2,
        init_range: tuple[float, float] = (0.1, 0.5),
        init_resolution: int | None = 16,
    ):
        super().__init__()
        if margin <= 0 or not resolutions or min(resolutions) < 2:
            raise UserError(
                f"triplane: margin={margin} must be positive and resolutions={list(resolutions)} at least 2"
            )
        self.margin = margin
        self.planes = nn.ParameterList()
        for resolution in resolutions:
            cells = resolution if init_resolution is None else init_resolution
            noise = torch.empty(3, channels, cells, cells).uniform_(*init_range)
            if cells != resolution:
                noise = interpolate(noise, size=(resolution, resolution), mode="bilinear", align_corners=True)
            self.planes.append(nn.Parameter(noise))
        self.out_features = channels * len(self.planes)
        self.register_buffer("bounds", torch.tensor([[-1.0] * 3, [1.0] * 3]))

    @torch.no_grad()
    def fit_bounds(self, points: Float[Tensor, "point 3"]) -> None:
        """Take the box of `points` (dm), widened by `margin` about its centre."""
        low, high = points.amin(0), points.amax(0)
        half = ((high - low) / 2).clamp_min(1e-3) * self.margin
        self.bounds.copy_(torch.stack([(low + high) / 2 - half, (low + high) / 2 + half]))

    def forward(self, means: Float[Tensor, "gaussian 3"]) -> Float[Tensor, "gaussian feature"]:
        """Features of positions in dm, always in float32. Gradients reach planes and positions."""
        with torch.autocast(means.device.type, enabled=False):
            low, high = self.bounds
            position = 2 * (means - low) / (high - low) - 1
            coordinates = torch.stack([position[:, axes] for axes in PLANE_AXES])[:, None]
            levels = []
            for planes in self.planes:
                xy, xz, yz = grid_sample(planes, coordinates, padding_mode="border", align_corners=True).squeeze(2)
                levels.append(xy * xz * yz)
            return torch.cat(levels).T
