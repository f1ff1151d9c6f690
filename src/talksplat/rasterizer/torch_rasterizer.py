"""Reference rasteriser in plain torch: slow, simple, any float dtype, the oracle of the tests."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from talksplat.rasterizer.base import (
    ALPHA_MAX,
    ALPHA_MIN,
    STOP_TRANSMITTANCE,
    TILE_SIZE,
    check_inputs,
    composite,
)
from talksplat.rasterizer.projection import Projection, project_gaussians
from talksplat.types import Gaussians, RenderOutput


class TorchRasterizer:
    """Composites all Gaussians of a tile at once: every (Gaussian, pixel) pair of the tile is held in memory.

    `near_plane` in dm, `eps2d` in pixels^2. Runs on any device; gradients by autograd, to `Ks` too.
    """

    def __init__(self, near_plane: float = 0.2, eps2d: float = 0.3):
        self.near_plane = near_plane
        self.eps2d = eps2d

    def __call__(
        self,
        gaussians: Gaussians,
        viewmats: Float[Tensor, "frame 4 4"],
        Ks: Float[Tensor, "frame 3 3"],
        width: int,
        height: int,
        backgrounds: Float[Tensor, "frame height width channel"] | None = None,
    ) -> RenderOutput:
        """See `Rasterizer`."""
        check_inputs(gaussians, viewmats, Ks, width, height, backgrounds)
        with torch.autocast(gaussians.means.device.type, enabled=False):
            projection = project_gaussians(gaussians, viewmats, Ks, width, height, self.near_plane, self.eps2d)
            frames = [
                _rasterize_frame(projection, frame, gaussians.opacities[frame], gaussians.colors[frame], width, height)
                for frame in range(len(viewmats))
            ]
            image, transmittance = (torch.stack(parts) for parts in zip(*frames))
            image = composite(image, transmittance, backgrounds)
        return RenderOutput(image, transmittance, projection.means2d, projection.radii)


def _rasterize_frame(
    projection: Projection, frame: int, opacities: Tensor, colors: Tensor, width: int, height: int
) -> tuple[Float[Tensor, "height width channel"], Float[Tensor, "height width"]]:
    """Image without background, and transmittance, of one frame."""
    visible = (projection.radii[frame] > 0).all(-1).nonzero()[:, 0]
    # Stable, so that of two Gaussians at one depth the first in the list is in front.
    order = visible[torch.sort(projection.depths[frame, visible], stable=True).indices]
    means2d, conics = projection.means2d[frame, order], projection.conics[frame, order]
    opacities, colors = opacities[order], colors[order]
    first = (means2d - projection.radii[frame, order]).detach()
    last = (means2d + projection.radii[frame, order]).detach()
    rows = []
    for y in range(0, height, TILE_SIZE):
        row = []
        for x in range(0, width, TILE_SIZE):
            y_end, x_end = min(y + TILE_SIZE, height), min(x + TILE_SIZE, width)
            touched = (first[:, 0] < x_end) & (last[:, 0] > x) & (first[:, 1] < y_end) & (last[:, 1] > y)
            index = touched.nonzero()[:, 0]
            pixels = _pixel_centers(x, x_end, y, y_end, means2d)
            color, transmittance = _blend(means2d[index], conics[index], opacities[index], colors[index], pixels)
            row.append((color.unflatten(0, (y_end - y, -1)), transmittance.unflatten(0, (y_end - y, -1))))
        rows.append([torch.cat(parts, dim=1) for parts in zip(*row)])
    image, transmittance = (torch.cat(parts, dim=0) for parts in zip(*rows))
    return image, transmittance


def _pixel_centers(x: int, x_end: int, y: int, y_end: int, like: Tensor) -> Float[Tensor, "pixel 2"]:
    columns = torch.arange(x, x_end, dtype=like.dtype, device=like.device) + 0.5
    rows = torch.arange(y, y_end, dtype=like.dtype, device=like.device) + 0.5
    return torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1).flatten(0, 1)


def _blend(
    means2d: Float[Tensor, "gaussian 2"],
    conics: Float[Tensor, "gaussian 3"],
    opacities: Float[Tensor, " gaussian"],
    colors: Float[Tensor, "gaussian channel"],
    pixels: Float[Tensor, "pixel 2"],
) -> tuple[Float[Tensor, "pixel channel"], Float[Tensor, " pixel"]]:
    """Front to back compositing of Gaussians in depth order; colours and remaining transmittance of each pixel."""
    dx = means2d[:, 0, None] - pixels[:, 0]
    dy = means2d[:, 1, None] - pixels[:, 1]
    sigma = 0.5 * (conics[:, 0, None] * dx * dx + conics[:, 2, None] * dy * dy) + conics[:, 1, None] * dx * dy
    alpha = (opacities[:, None] * torch.exp(-sigma)).clamp(max=ALPHA_MAX)
    valid = (sigma >= 0) & (alpha >= ALPHA_MIN)
    alpha = torch.where(valid, alpha, torch.zeros_like(alpha))
    # The product only falls, so every Gaussian after the first that crosses the limit is dropped with it.
    kept = torch.cumprod(1 - alpha.detach(), dim=0) > STOP_TRANSMITTANCE
    alpha = torch.where(kept, alpha, torch.zeros_like(alpha))
    left = torch.cumprod(torch.cat([torch.ones_like(alpha[:1]), 1 - alpha]) if len(alpha) else _ones(pixels), dim=0)
    weights = alpha * left[:-1]
    return weights.mT @ colors, left[-1]


def _ones(pixels: Tensor) -> Float[Tensor, "1 pixel"]:
    return torch.ones_like(pixels[None, :, 0])
