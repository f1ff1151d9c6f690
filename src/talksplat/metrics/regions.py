"""Regions of a frame that are measured by themselves."""

from __future__ import annotations

import torch
from torch import Tensor

from talksplat.losses.pixel import box_mask

MOUTH_SCALE = 1.5  # the lip box is tight around the outer lip: this takes in the chin's and the cheeks' edges


def enlarge_boxes(boxes: Tensor, scale: float) -> Tensor:
    """Boxes [B, 4] (x0, y0, x1, y1; ends exclusive) scaled about their centres; an empty box stays empty."""
    boxes = boxes.to(torch.float64)
    center, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2 * scale
    return torch.cat([center - half, center + half], dim=1).round().long()


def mouth_mask(lip_boxes: Tensor, height: int, width: int) -> Tensor:
    """Pixels around the mouth, bool [B, H, W], from lip boxes [B, 4]."""
    return box_mask(enlarge_boxes(lip_boxes, MOUTH_SCALE), height, width)
