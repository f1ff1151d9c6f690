"""Rasteriser for CUDA tensors: gsplat 1.5.3."""

from __future__ import annotations

from types import ModuleType

import torch
from jaxtyping import Float
from torch import Tensor

from talksplat.errors import UserError
from talksplat.rasterizer.base import TILE_SIZE, check_inputs, composite
from talksplat.types import Gaussians, RenderOutput

WARP = 32
MAX_CHANNELS = 32  # a launch; more would need more shared memory than a kernel has


class GsplatRasterizer:
    """All frames of a batch in one launch of each of gsplat's CUDA kernels.

    `near_plane` in dm, `eps2d` in pixels^2. The kernels are compiled by gsplat at their first use (about a minute).
    `Ks` gets no gradient.

    Raises:
        UserError: on a call without a usable GPU, or where gsplat's CUDA extension cannot be loaded.
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
        gsplat = _load_gsplat(gaussians.means.device)
        with torch.autocast("cuda", enabled=False):
            count = gaussians.means.shape[1]
            means, quats, scales, opacities = _pad_to_warps(gaussians, viewmats.requires_grad)
            radii, means2d, depths, conics, _ = gsplat.fully_fused_projection(
                means.float(), None, quats.float(), scales.float(),
                viewmats.float()[:, None], Ks.float()[:, None], width, height, eps2d=self.eps2d,
                near_plane=self.near_plane, packed=False, opacities=opacities.detach().float(),
            )  # fmt: skip
            # gsplat.rasterization returns means2d with a camera axis; a view of it is not part of the graph and would
            # not receive a gradient. Its parts are called separately, so that the returned tensor is in the graph.
            means2d, conics, depths, radii = (
                part[:, 0, :count].contiguous() for part in (means2d, conics, depths, radii)
            )
            opacities, colors = gaussians.opacities.float(), gaussians.colors.float()
            image, transmittance = _rasterize(
                gsplat, means2d, conics, depths, radii, opacities, colors, width, height, absgrad
            )
            image = composite(image, transmittance, backgrounds)
        return RenderOutput(image, transmittance, means2d, radii)

    def has_absgrad(self, device: torch.device) -> bool:
        """See `Rasterizer`."""
        return device.type == "cuda"


def _pad_to_warps(gaussians: Gaussians, pose_gradient: bool) -> tuple[Tensor, ...]:
    """Means, quaternions, scales and opacities with invisible Gaussians at the end, so that no warp of 32 threads holds
    Gaussians of two frames.

    Gsplat 1.5.3 sums gradients within a warp by camera and by Gaussian number, not by frame (the two
    `labeled_partition` calls of ProjectionEWA3DGSFused.cu), so that in a shared warp the pose gradient, and with fewer
    than 32 Gaussians every gradient, would go to the wrong frame.
    """
    shapes = gaussians.means, gaussians.quats, gaussians.scales
    frames, count = gaussians.opacities.shape
    missing = -count % WARP
    if frames == 1 or missing == 0 or not (pose_gradient or count < WARP):
        return *shapes, gaussians.opacities
    pad = torch.nn.functional.pad
    return *(pad(part, (0, 0, 0, missing)) for part in shapes), pad(gaussians.opacities, (0, missing))


def _rasterize(
    gsplat: ModuleType,
    means2d: Float[Tensor, "frame gaussian 2"],
    conics: Float[Tensor, "frame gaussian 3"],
    depths: Float[Tensor, "frame gaussian"],
    radii: Tensor,
    opacities: Float[Tensor, "frame gaussian"],
    colors: Float[Tensor, "frame gaussian channel"],
    width: int,
    height: int,
    absgrad: bool,
) -> tuple[Float[Tensor, "frame height width channel"], Float[Tensor, "frame height width"]]:
    """Image without background, and transmittance. `means2d.absgrad` is of the last `MAX_CHANNELS` channels."""
    frames = len(means2d)
    tiles_x, tiles_y = -(-width // TILE_SIZE), -(-height // TILE_SIZE)
    with torch.no_grad():
        _, pair_ids, flatten_ids = gsplat.isect_tiles(
            means2d, radii, depths, TILE_SIZE, tiles_x, tiles_y, packed=False, n_images=frames
        )
        offsets = gsplat.isect_offset_encode(pair_ids, frames, tiles_x, tiles_y)
        offsets = offsets.reshape(frames, tiles_y, tiles_x)
    parts = [
        gsplat.rasterize_to_pixels(
            means2d, conics, part, opacities, width, height, TILE_SIZE, offsets, flatten_ids, absgrad=absgrad
        )
        for part in colors.split(MAX_CHANNELS, dim=-1)
    ]
    image = torch.cat([part[0] for part in parts], -1)
    return image, 1 - parts[0][1].squeeze(-1)


def _load_gsplat(device: torch.device) -> ModuleType:
    """Gsplat with its CUDA extension built and loaded. Never touched for CPU tensors: its import would try to build."""
    if device.type != "cuda":
        raise UserError(
            f"the gsplat rasteriser draws CUDA tensors, not {device.type}: choose the rasteriser auto or numba"
        )
    try:
        import gsplat
        from gsplat.cuda._backend import _C
    except Exception as error:  # the build of the extension fails in many ways
        raise UserError(f"gsplat's CUDA extension cannot be built or loaded: {error}") from error
    if _C is None:
        raise UserError("gsplat needs the CUDA toolkit (nvcc on PATH or CUDA_HOME) to build its CUDA extension once")
    return gsplat
