"""Reference rasteriser in plain torch: slow, simple, any float dtype, the oracle of the tests."""

from __future__ import annotations

from functools import partial

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
        absgrad: bool = False,
    ) -> RenderOutput:
        """See `Rasterizer`."""
        check_inputs(gaussians, viewmats, Ks, width, height, backgrounds)
        with torch.autocast(gaussians.means.device.type, enabled=False):
            projection = project_gaussians(gaussians, viewmats, Ks, width, height, self.near_plane, self.eps2d)
            if absgrad:
                projection.means2d.absgrad = torch.zeros_like(projection.means2d, requires_grad=False)
            frames = [
                _rasterize_frame(projection, frame, gaussians.opacities[frame], gaussians.colors[frame], width, height)
                for frame in range(len(viewmats))
            ]
            image, transmittance = (torch.stack(parts) for parts in zip(*frames))
            image = composite(image, transmittance, backgrounds)
        return RenderOutput(image, transmittance, projection.means2d, projection.radii)

    def has_absgrad(self, device: torch.device) -> bool:
        """See `Rasterizer`."""
        return True


def _rasterize_frame(
    projection: Projection, frame: int, opacities: Tensor, colors: Tensor, width: int, height: int
) -> tuple[Float[Tensor, "height width channel"], Float[Tensor, "height width"]]:
    """Image without background, and transmittance, of one frame."""
    visible = (projection.radii[frame] > 0).all(-1).nonzero()[:, 0]
    # Stable, so that of two Gaussians at one depth the first in the list is in front.
    order = visible[torch.sort(projection.depths[frame, visible], stable=True).indices]
    means2d, conics = projection.means2d[frame, order], projection.conics[frame, order]
    opacities, colors = opacities[order], colors[order]
    absgrad = getattr(projection.means2d, "absgrad", None)
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
            offsets = means2d[index, None] - pixels
            if absgrad is not None and offsets.requires_grad:
                offsets.register_hook(partial(_add_absolute, absgrad[frame], order[index]))
            color, transmittance = _blend(offsets, conics[index], opacities[index], colors[index])
            row.append((color.unflatten(0, (y_end - y, -1)), transmittance.unflatten(0, (y_end - y, -1))))
        rows.append([torch.cat(parts, dim=1) for parts in zip(*row)])
    image, transmittance = (torch.cat(parts, dim=0) for parts in zip(*rows))
    return image, transmittance


def _pixel_centers(x: int, x_end: int, y: int, y_end: int, like: Tensor) -> Float[Tensor, "pixel 2"]:
    columns = torch.arange(x, x_end, dtype=like.dtype, device=like.device) + 0.5
    rows = torch.arange(y, y_end, dtype=like.dtype, device=like.device) + 0.5
    return torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1).flatten(0, 1)


def _add_absolute(absgrad: Tensor, index: Tensor, gradient: Float[Tensor, "gaussian pixel 2"]) -> None:
    """Hook of the offsets from pixels to Gaussians, which have one gradient for each pair of them."""
    absgrad.index_add_(0, index, gradient.abs().sum(1))


def _blend(
    offsets: Float[Tensor, "gaussian pixel 2"],
    conics: Float[Tensor, "gaussian 3"],
    opacities: Float[Tensor, " gaussian"],
    colors: Float[Tensor, "gaussian channel"],
) -> tuple[Float[Tensor, "pixel channel"], Float[Tensor, " pixel"]]:
    """Front to back compositing of Gaussians in depth order; colours and remaining transmittance of each pixel."""
    dx, dy = offsets.unbind(-1)
    sigma = 0.5 * (conics[:, 0, None] * dx * dx + conics[:, 2, None] * dy * dy) + conics[:, 1, None] * dx * dy
    alpha = (opacities[:, None] * torch.exp(-sigma)).clamp(max=ALPHA_MAX)
    valid = (sigma >= 0) & (alpha >= ALPHA_MIN)
    alpha = torch.where(valid, alpha, torch.zeros_like(alpha))
    # The product only falls, so every Gaussian after the first that crosses the limit is dropped with it.
    kept = torch.cumprod(1 - alpha.detach(), dim=0) > STOP_TRANSMITTANCE
    alpha = torch.where(kept, alpha, torch.zeros_like(alpha))
    left = torch.cumprod(torch.cat([alpha.new_ones(1, alpha.shape[1]), 1 - alpha]), dim=0)
    weights = alpha * left[:-1]
    return weights.mT @ colors, left[-1]
