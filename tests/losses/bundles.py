"""Small batches and renderings with known content."""

from __future__ import annotations

import torch

from talksplat.types import Conditions, FrameBatch, RenderOutput


def make_batch(size: int = 32, frames: int = 2, seed: int = 0) -> FrameBatch:
    """Random frames; the head is a block in the middle; frame 0 has a 6x4 lip box, frame 1 one of 10x10."""
    generator = torch.Generator().manual_seed(seed)

    def noise():
        return torch.randint(0, 256, (frames, size, size, 3), generator=generator, dtype=torch.uint8)

    head = torch.zeros(frames, size, size, dtype=torch.bool)
    head[:, size // 4 : 3 * size // 4, size // 4 : 3 * size // 4] = True
    boxes = torch.tensor([[9, 14, 15, 18], [10, 12, 20, 22]])[:frames]
    conditions = Conditions(
        audio=torch.zeros(frames, 8, 16, 4),
        eye=torch.zeros(frames),
        viewmats=torch.eye(4).expand(frames, 4, 4),
        Ks=torch.eye(3).expand(frames, 3, 3),
    )
    return FrameBatch(torch.arange(10, 10 + frames), conditions, noise(), noise(), head, boxes)


def make_output(image: torch.Tensor, transmittance: torch.Tensor | None = None) -> RenderOutput:
    """A rendering of this image [B, H, W, 3]."""
    frames, height, width = image.shape[:3]
    if transmittance is None:
        transmittance = torch.zeros(frames, height, width)
    return RenderOutput(image, transmittance, torch.zeros(frames, 1, 2), torch.ones(frames, 1, 2, dtype=torch.int32))
