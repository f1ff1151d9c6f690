"""Rasteriser chosen by the device of its input."""

from __future__ import annotations

import importlib.util
import logging

import torch
from jaxtyping import Float
from torch import Tensor

from talksplat.rasterizer.base import Rasterizer
from talksplat.rasterizer.gsplat_rasterizer import GsplatRasterizer
from talksplat.rasterizer.numba_rasterizer import NumbaRasterizer
from talksplat.rasterizer.torch_rasterizer import TorchRasterizer
from talksplat.types import Gaussians, RenderOutput

logger = logging.getLogger(__name__)


class AutoRasterizer:
    """CUDA tensors: gsplat. CPU tensors: numba, or plain torch with a warning where numba is not installed.

    Other devices are drawn by plain torch. `threads` is for numba; `near_plane` in dm, `eps2d` in pixels^2.
    """

    def __init__(self, threads: int | None = None, near_plane: float = 0.2, eps2d: float = 0.3):
        self.cuda: Rasterizer = GsplatRasterizer(near_plane, eps2d)
        self.other: Rasterizer = TorchRasterizer(near_plane, eps2d)
        self.cpu: Rasterizer = self.other
        if importlib.util.find_spec("numba") is None:
            logger.warning("numba is not installed: CPU rendering falls back to torch, some 30 times slower")
        else:
            self.cpu = NumbaRasterizer(threads, near_plane, eps2d)

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
        chosen = self._chosen(gaussians.means.device)
        return chosen(gaussians, viewmats, Ks, width, height, backgrounds, absgrad)

    def has_absgrad(self, device: torch.device) -> bool:
        """See `Rasterizer`."""
        return self._chosen(device).has_absgrad(device)

    def _chosen(self, device: torch.device) -> Rasterizer:
        return {"cuda": self.cuda, "cpu": self.cpu}.get(device.type, self.other)
