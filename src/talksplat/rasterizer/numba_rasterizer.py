"""Rasteriser for CPU tensors: numba kernels, vectorised and multi-threaded, without a compiler on the machine."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from talksplat.errors import UserError
from talksplat.rasterizer.base import check_inputs, composite
from talksplat.types import Gaussians, RenderOutput


class NumbaRasterizer:
    """Float32 rasteriser with closed-form gradients, the same bits for any number of threads.

    `threads`: how many threads draw (None: as many as torch uses). `near_plane` in dm, `eps2d` in
    pixels^2. The kernels are compiled at their first use (some 20 s) and cached on disk. `Ks` gets no gradient. Do not
    call it in a forked DataLoader worker: OpenMP ends such a process.

    Raises:
        UserError: numba is not installed, `threads` is below 1, or the tensors are not on the CPU.
    """

    def __init__(self, threads: int | None = None, near_plane: float = 0.2, eps2d: float = 0.3):
        try:
            from talksplat.rasterizer.numba_kernels import runtime
        except ImportError as error:
            raise UserError(f"the numba rasteriser cannot be loaded ({error}): pip install numba") from error
        runtime.check_threads(threads)
        self.threads = threads
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
        from talksplat.rasterizer.numba_functions import ProjectFunction, RasterizeFunction

        check_inputs(gaussians, viewmats, Ks, width, height, backgrounds)
        if absgrad:
            raise UserError(
                "the numba rasteriser has no absgrad: choose rasterizer=gsplat (a GPU) or rasterizer=torch (slow)"
            )
        if gaussians.means.device.type != "cpu":
            raise UserError(
                f"the numba rasteriser draws CPU tensors, not {gaussians.means.device.type}: "
                "choose the rasteriser auto or gsplat"
            )
        means2d, conics, depths, radii = ProjectFunction.apply(
            gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities, gaussians.colors,
            viewmats, Ks, width, height, self.near_plane, self.eps2d, self.threads,
        )  # fmt: skip
        frames = [
            RasterizeFunction.apply(*parts, width, height, self.threads)
            for parts in zip(means2d, conics, gaussians.opacities, gaussians.colors, depths, radii)
        ]
        image, transmittance = (torch.stack(parts) if len(parts) > 1 else parts[0][None] for parts in zip(*frames))
        return RenderOutput(composite(image, transmittance, backgrounds), transmittance, means2d, radii)

    def has_absgrad(self, device: torch.device) -> bool:
        """See `Rasterizer`. Two more sums in the innermost loop would slow every training step."""
        return False
