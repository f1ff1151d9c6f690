"""Image metrics, one value a frame. Every function takes images in [0, 1], float [B, H, W, 3]."""

from __future__ import annotations

import torch
from torch import Tensor

from talksplat.errors import UserError
from talksplat.metrics.base import MEAN, ORIGINAL, FrameMetric
from talksplat.metrics.frames import MeasuredFrames
from talksplat.metrics.regions import MOUTH_SCALE, mouth_mask

MAX_PSNR = 100.0  # dB, at a mean squared error of 1e-10: identical images have a finite value, which JSON can hold
RATIO = f"-10 log10(MSE) in dB over RGB, at most 100; {MEAN}"
REGIONS = {  # title, definition, why there is no value
    "full": ("PSNR", f"{ORIGINAL}, full frame", None),
    "head": ("head PSNR", f"{ORIGINAL}, pixels of the head mask only", "no frame has head pixels in its mask"),
    "mouth": (
        "mouth PSNR",
        f"{ORIGINAL}, the box of the outer lip enlarged {MOUTH_SCALE:g} times only",
        "no frame has a lip box (no landmarks)",
    ),
    "composite": (
        "composite PSNR",
        "rendering against the training target (head of the frame over the made backdrop)",
        None,
    ),
}


class PSNR(FrameMetric):
    """Peak signal-to-noise ratio in dB.

    Args:
        region: "full" frame, "head", "mouth", or "composite": the full frame against the training target.

    Raises:
        UserError: no such region.
    """

    unit, direction, digits = "dB", "higher", 2

    def __init__(self, region: str = "full") -> None:
        if region not in REGIONS:
            raise UserError(f"evaluation.metrics: region={region} of PSNR is one of {', '.join(REGIONS)}")
        self.region = region
        self.title, compared, absent = REGIONS[region]
        self.definition = f"{compared}; {RATIO}"
        if absent is not None:
            self.absent, self.absent_frame = absent, "nothing to measure there"

    def __call__(self, frames: MeasuredFrames) -> Tensor:
        if self.region == "composite":
            return psnr(frames.rendered, frames.target)
        mask = None
        if self.region == "head":
            mask = frames.batch.head_mask
        elif self.region == "mouth":
            mask = mouth_mask(frames.batch.lip_boxes, *frames.rendered.shape[1:3])
        return psnr(frames.rendered, frames.original, mask)


class SSIM(FrameMetric):
    """Structural similarity of the full frame."""

    title, direction, digits = "SSIM", "higher", 4
    definition = f"{ORIGINAL}, full frame; Gaussian window 11x11, sigma 1.5, data range 1, mirrored margins, mean over RGB; {MEAN}"

    def __call__(self, frames: MeasuredFrames) -> Tensor:
        return ssim(frames.rendered, frames.original)


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
    from torchmetrics.functional.image import structural_similarity_index_measure  # takes seconds to import

    return structural_similarity_index_measure(
        rendered.movedim(-1, 1),
        reference.movedim(-1, 1),
        gaussian_kernel=True,
        sigma=1.5,
        kernel_size=11,
        reduction="none",
        data_range=1.0,
    ).reshape(len(rendered))
