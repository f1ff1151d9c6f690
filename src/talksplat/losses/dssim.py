"""Structural dissimilarity."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from talksplat.losses.base import Loss
from talksplat.losses.crop import cropped_target, head_crop
from talksplat.losses.ssim_constants import C1, C2, RADIUS, gaussian_window
from talksplat.losses.ssim_numba import ssim_sum_numba
from talksplat.types import FrameBatch, RenderOutput

MARGIN = 2 * RADIUS + 6  # pixels: two windows, so that a crop changes nothing where the rendering ends with the head


class DSSIMLoss(Loss):
    """1 - SSIM over full frames: 11x11 Gaussian window of sigma 1.5, zero padding (GaussianTalker).

    Args:
        crop: on a CPU, compute it inside the box of the batch's heads only, and take SSIM as 1 elsewhere, where the
            target is the backdrop that the head is drawn over. The value is still per pixel of the full frame. What
            is painted outside the box is then left to the other losses. No effect on a GPU, which would have to wait
            for the box.
        weight, start, end, stages: see `Loss`.
    """

    def __init__(
        self,
        weight: float,
        start: int = 0,
        end: int | None = None,
        stages: Sequence[str] | None = None,
        crop: bool = False,
    ) -> None:
        super().__init__(weight, start, end, stages)
        self.crop = crop
        # On the device from the start: a copy at each step would wait for it.
        self.register_buffer("taps", gaussian_window(torch.float32), persistent=False)

    def forward(self, output: RenderOutput, batch: FrameBatch) -> Tensor:
        rendered, size = output.image, output.image.numel()
        if self.crop and rendered.device.type == "cpu":
            crop = head_crop(batch.head_pixels, MARGIN)
            rendered, target = rendered[:, crop[0], crop[1]], cropped_target(batch, crop)
        else:
            target = batch.target
        return (rendered.numel() - ssim_sum(rendered, target.to(rendered.dtype), self.taps)) / size


def ssim_sum(rendered: Tensor, target: Tensor, taps: Tensor) -> Tensor:
    """Sum of SSIM over pixels and channels; arguments as in `ssim_map`. The gradient goes to `rendered` only."""
    if rendered.device.type == "cpu" and rendered.shape[-1] == 3 and rendered.dtype in (torch.float32, torch.float64):
        return ssim_sum_numba(rendered, target)
    return ssim_map(rendered, target, taps).sum()


def ssim_map(rendered: Tensor, target: Tensor, taps: Tensor) -> Tensor:
    """SSIM of each pixel and channel.

    Args:
        rendered: [B, H, W, C] images in [0, 1].
        target: likewise; gets no gradient.
        taps: [11] window of one axis, best on the images' device.

    Returns:
        [B, C, H, W].
    """
    # cuDNN's depthwise convolutions take twice as long with the channels last.
    x, y = rendered.movedim(-1, 1).contiguous(), target.detach().movedim(-1, 1).contiguous()
    taps = taps.to(x)
    with torch.no_grad():
        mean_y, square_y = _blur(torch.cat([y, y * y], 1), taps).chunk(2, 1)
    mean_x, square_x, product = _blur(torch.cat([x, x * x, x * y], 1), taps).chunk(3, 1)
    squares, means = mean_x * mean_x + mean_y * mean_y, mean_x * mean_y
    structure = (2 * (product - means) + C2) / (square_x + square_y - squares + C2)
    return (2 * means + C1) / (squares + C1) * structure


def _blur(maps: Tensor, taps: Tensor) -> Tensor:
    """Depthwise, one axis after the other: 22 taps a pixel for 121."""
    channels = maps.shape[1]
    taps = taps.expand(channels, 1, -1)
    maps = F.conv2d(maps, taps[..., None], padding=(RADIUS, 0), groups=channels)
    return F.conv2d(maps, taps[:, :, None], padding=(0, RADIUS), groups=channels)
