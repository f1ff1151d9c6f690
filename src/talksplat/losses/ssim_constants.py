"""The SSIM of the 3D Gaussian Splatting lineage: 11x11 Gaussian window of sigma 1.5, zero padding, data range 1."""

from __future__ import annotations

import torch
from torch import Tensor

RADIUS = 5  # pixels: the window is 11 wide
SIGMA = 1.5  # pixels
C1 = 0.01**2
C2 = 0.03**2


def gaussian_window(dtype: torch.dtype, device: torch.device | str = "cpu") -> Tensor:
    """[11] normalised Gaussian taps."""
    offsets = torch.arange(-RADIUS, RADIUS + 1, dtype=torch.float64)
    taps = torch.exp(-(offsets**2) / (2 * SIGMA**2))
    return (taps / taps.sum()).to(device=device, dtype=dtype)
