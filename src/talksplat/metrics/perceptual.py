"""Learned perceptual distance, one value a frame."""

from __future__ import annotations

import torch
from torch import Tensor

from talksplat.errors import UserError
from talksplat.losses.pretrained import BACKBONES, Frozen, find_weights, lpips_network
from talksplat.metrics.base import MEAN, ORIGINAL, FrameMetric
from talksplat.metrics.frames import Clip, MeasuredFrames


class LPIPS(FrameMetric):
    """LPIPS v0.1 (Zhang et al. 2018) at the frames' own resolution.

    Args:
        net: backbone, "alex" (what most talking-head papers report) or "vgg"; None: it is not measured.

    Raises:
        UserError: no such backbone.
    """

    direction, digits = "lower", 4

    def __init__(self, net: str | None = "alex") -> None:
        if net is not None and net not in BACKBONES:
            raise UserError(f"evaluation.lpips_net is one of {', '.join(BACKBONES)} or null, not {net!r}")
        self.net = net
        self.title = f"LPIPS ({'off' if net is None else BACKBONES[net].title})"
        backbone = "not measured" if net is None else f"{BACKBONES[net].title} (lpips v0.1, images in [0, 1])"
        self.definition = f"{ORIGINAL}, full frame, own resolution; backbone: {backbone}; {MEAN}"

    def prepare(self, clip: Clip) -> str | None:
        if self.net is None:
            return "switched off (evaluation.lpips_net=null)"
        path = find_weights(self.net, clip.assets, "do without LPIPS (evaluation.lpips_net=null)")
        self._frozen = Frozen(lpips_network(self.net, path))
        return None

    @torch.no_grad()
    def __call__(self, frames: MeasuredFrames) -> Tensor:
        network = self._frozen.on(frames.rendered.device)
        return network(frames.rendered.movedim(-1, 1), frames.original.movedim(-1, 1), normalize=True).flatten()
