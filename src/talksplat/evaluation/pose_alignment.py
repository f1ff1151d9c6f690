"""Pose alignment: PSNR of held-out frames after fitting their poses, which shows the tracker's share of the error."""

from __future__ import annotations

import torch
from torch import Tensor

from talksplat.geometry.rigid_motion import MOTION, UNITS, move_gaussians
from talksplat.metrics.image import psnr
from talksplat.models.avatar import Avatar
from talksplat.models.compositor import drawing
from talksplat.rasterizer.base import Rasterizer
from talksplat.types import FrameBatch

LEARNING_RATE = 0.1  # in units of 0.005 rad and 0.01 dm
DEFINITION = (
    "psnr_composite after each frame's pose was fitted to that frame with the avatar held: shows what better "
    "tracking could give, and must not be compared with methods that keep the tracker's poses"
)


def aligned_psnr(
    model: Avatar, rasterizer: Rasterizer, mode: str, sh_degree: int, batch: FrameBatch, steps: int
) -> Tensor:
    """Composite PSNR (dB) of each frame of the batch, the best over `steps` Adam steps on its pose; the start counts."""
    height, width = batch.original_u8.shape[1:3]
    conditions = batch.conditions
    with torch.no_grad():
        head = model(conditions, mode, sh_degree)
    units = torch.tensor(UNITS, device=conditions.viewmats.device)
    scaled = torch.zeros(len(conditions), MOTION, device=units.device, requires_grad=True)
    optimizer = torch.optim.Adam([scaled], lr=LEARNING_RATE)
    target, background = batch.target, batch.background
    draw = drawing(rasterizer, conditions, width, height)
    best = torch.full((len(conditions),), -torch.inf, device=units.device)
    for _ in range(steps + 1):
        optimizer.zero_grad()
        moved = move_gaussians(head, scaled * units)
        image = model.compositor(draw, moved, model.parts(), background)[0].image
        best = torch.maximum(best, psnr(image.detach().clamp(0, 1), target))
        (image - target).square().mean(dim=(1, 2, 3)).sum().backward()
        optimizer.step()
    return best
