"""Image metrics, one value a frame. Every function takes images in [0, 1], float [B, H, W, 3]."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

MAX_PSNR = 100.0  # dB, at a mean squared error of 1e-10: identical images have a finite value, which JSON can hold


def psnr(rendered: Tensor, reference: Tensor, mask: Tensor | None = None) -> Tensor:
    """Peak signal-to-noise ratio [B] in dB, -10 log10(MSE), at most 100.

    Args:
        mask: bool [B, H, W], pixels that count; NaN for a frame where none does. None: all.
    """
    error = (rendered - reference).square()
    if mask is None:
        mse = error.mean(dim=(1, 2, 3))
    else:
        count = mask.sum(dim=(1, 2)) * error.shape[-1]
        mse = (error * mask[..., None]).sum(dim=(1, 2, 3)) / count  # 0 / 0 = NaN
    return -10 * torch.log10(mse.clamp(min=10 ** (-MAX_PSNR / 10)))


def ssim(rendered: Tensor, reference: Tensor) -> Tensor:
    """Structural similarity [B] (Wang et al. 2004): Gaussian 11x11, sigma 1.5, mirrored margins, mean over RGB."""
    return structural_similarity_index_measure(
        rendered.movedim(-1, 1),
        reference.movedim(-1, 1),
        gaussian_kernel=True,
        sigma=1.5,
        kernel_size=11,
        reduction="none",
        data_range=1.0,
    ).reshape(len(rendered))
