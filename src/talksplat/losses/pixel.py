"""Losses on pixels and on the silhouette."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from talksplat.errors import UserError
from talksplat.losses.base import Loss
from talksplat.losses.crop import boxes_crop, cropped_target
from talksplat.types import FrameBatch, RenderOutput


class L1Loss(Loss):
    """Mean absolute difference between the rendering and the target over full frames (GaussianTalker)."""

    def forward(self, output: RenderOutput, batch: FrameBatch) -> Tensor:
        return (output.image - batch.target).abs().mean()


class LipLoss(Loss):
    """Mean absolute difference over the pixels of all lip boxes of the batch together.

    Larger boxes have more weight; frames without a box have none; 0 where no frame has one (GaussianTalker).
    With several processes each divides by the mean of their lip pixels (`lip_pixels` of the batch), so that the mean of
    their losses is per pixel of all.
    """

    def forward(self, output: RenderOutput, batch: FrameBatch) -> Tensor:
        image, boxes = output.image, batch.lip_boxes
        mask = box_mask(boxes, *image.shape[1:3])[..., None]
        if image.device.type == "cpu":
            crop = boxes_crop(boxes, *image.shape[1:3])
            image, mask, target = image[:, crop[0], crop[1]], mask[:, crop[0], crop[1]], cropped_target(batch, crop)
        else:
            target = batch.target
        difference = (image - target).abs() * mask
        pixels = mask.sum().float() if batch.lip_pixels is None else batch.lip_pixels
        return difference.sum() / (pixels * image.shape[-1]).clamp(min=1e-6)


class MaskLoss(Loss):
    """Accumulated opacity against the head mask (the soft one where there is one), over full frames, with a gradient.

    The original's mask term had none. It is the only term that separates head and backdrop of the same colour.

    Args:
        kind: "l1" mean absolute difference, or "bce" binary cross-entropy.
        weight, start, end, stages: see `Loss`.
    """

    def __init__(
        self,
        weight: float,
        start: int = 0,
        end: int | None = None,
        stages: Sequence[str] | None = None,
        kind: str = "l1",
    ) -> None:
        super().__init__(weight, start, end, stages)
        if kind not in ("l1", "bce"):
            raise UserError(f"MaskLoss: kind is 'l1' or 'bce', not {kind!r}")
        self.kind = kind

    def forward(self, output: RenderOutput, batch: FrameBatch) -> Tensor:
        transmittance = output.transmittance
        if batch.head_alpha_u8 is not None:
            alpha = batch.head_alpha
            if self.kind == "l1":
                return (1 - transmittance - alpha).abs().mean()
            head, rest = ((1 - transmittance).clamp(min=1e-3).log(), transmittance.clamp(min=1e-3).log())
            return -(alpha * head + (1 - alpha) * rest).mean()
        if self.kind == "l1":
            return torch.where(batch.head_mask, transmittance, 1 - transmittance).abs().mean()
        # Only the probability of the correct class is needed; from T directly, since 1 - alpha would lose the digits of a small T.
        right = torch.where(batch.head_mask, 1 - transmittance, transmittance)
        return -right.clamp(min=1e-3).log().mean()


def box_mask(boxes: Tensor, height: int, width: int) -> Tensor:
    """Pixels inside boxes, without waiting for the device.

    Args:
        boxes: [B, 4] x0, y0, x1, y1, the last two exclusive; may be empty or reach beyond the image.
        height, width: size of the image in pixels.

    Returns:
        bool [B, H, W].
    """
    x0, y0, x1, y1 = boxes.unbind(-1)
    xs, ys = torch.arange(width, device=boxes.device), torch.arange(height, device=boxes.device)
    columns = (xs >= x0[:, None]) & (xs < x1[:, None])
    rows = (ys >= y0[:, None]) & (ys < y1[:, None])
    return rows[:, :, None] & columns[:, None, :]
