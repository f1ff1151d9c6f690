"""Gaussians to images. Numba and gsplat are loaded only when their rasterisers are used."""

from talksplat.rasterizer.auto import AutoRasterizer
from talksplat.rasterizer.base import Rasterizer
from talksplat.rasterizer.gsplat_rasterizer import GsplatRasterizer
from talksplat.rasterizer.numba_rasterizer import NumbaRasterizer
from talksplat.rasterizer.torch_rasterizer import TorchRasterizer

__all__ = ["AutoRasterizer", "GsplatRasterizer", "NumbaRasterizer", "Rasterizer", "TorchRasterizer"]
