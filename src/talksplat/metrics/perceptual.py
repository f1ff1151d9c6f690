"""Learned perceptual distance, one value a frame."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from talksplat.losses.pretrained import Frozen, find_weights, lpips_network


class LPIPSMetric:
    """LPIPS v0.1 (Zhang et al. 2018) of images in [0, 1], float [B, H, W, 3], at their own resolution -> [B].

    Args:
        net: backbone, "alex" (what most talking-head papers report) or "vgg".
        assets: folder with the backbone's weights; None: TALKSPLAT_ASSETS, torch's hub cache, or a download.

    Raises:
        UserError: the backbone's weights cannot be had.
    """

    def __init__(self, net: Literal["alex", "vgg"], assets: Path | None) -> None:
        path = find_weights(net, assets, "do without LPIPS (evaluation.lpips_net=null)")
        self._frozen = Frozen(lpips_network(net, path))

    @torch.no_grad()
    def __call__(self, rendered: Tensor, reference: Tensor) -> Tensor:
        network = self._frozen.on(rendered.device)
        return network(rendered.movedim(-1, 1), reference.movedim(-1, 1), normalize=True).flatten()
