"""Crops of frames, for losses on a part of them. Boxes are read on the host, so for the CPU only."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from talksplat.types import FrameBatch

Crop = tuple[slice, slice]  # rows, columns


def head_crop(head_pixels: Tensor, margin: int) -> Crop:
    """A box around all heads [B, H, W] of a batch, with a margin in pixels; the full frame where there is none."""
    pixels = head_pixels.any(0)
    return _span(pixels.any(1), margin), _span(pixels.any(0), margin)


def boxes_crop(boxes: Tensor, height: int, width: int) -> Crop:
    """The smallest part of the frame that holds all boxes [B, 4] (x0, y0, x1, y1; ends exclusive); may be empty."""
    boxes = boxes[(boxes[:, 2:] > boxes[:, :2]).all(1)]
    if len(boxes) == 0:
        return slice(0, 0), slice(0, 0)
    (x0, y0), (x1, y1) = boxes[:, :2].amin(0).tolist(), boxes[:, 2:].amax(0).tolist()
    return slice(max(y0, 0), min(y1, height)), slice(max(x0, 0), min(x1, width))


def cropped_target(batch: FrameBatch, crop: Crop) -> Tensor:
    """That part of the batch's target, float [B, h, w, 3]; the rest is not computed."""
    rows, columns = crop
    names = ("original_u8", "background_u8", "head_mask", "head_alpha_u8")
    images = {name: getattr(batch, name) for name in names}
    images = {name: None if image is None else image[:, rows, columns] for name, image in images.items()}
    return replace(batch, **images).target


def _span(present: Tensor, margin: int) -> slice:
    positions = present.nonzero()
    if len(positions) == 0:
        return slice(0, len(present))
    return slice(max(int(positions[0]) - margin, 0), min(int(positions[-1]) + margin + 1, len(present)))
