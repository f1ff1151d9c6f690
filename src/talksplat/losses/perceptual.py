"""Perceptual losses: distances in the feature space of ImageNet networks with pretrained weights from files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from talksplat.errors import UserError
from talksplat.losses.base import Loss
from talksplat.losses.pretrained import BACKBONES, Frozen, VGG16Features, find_weights, lpips_network
from talksplat.types import FrameBatch, RenderOutput

VGG_SIZE = 224  # pixels


class PretrainedLoss(Loss):
    """A loss over a frozen network, which is loaded by `check_available` or at the first use.

    Args:
        assets: folder with weights under torchvision's file names; None: TALKSPLAT_ASSETS, torch's hub cache, or a
            download.
        weight, start, end, stages: see `Loss`.
    """

    net: Literal["alex", "vgg"]

    def __init__(
        self,
        weight: float,
        start: int = 0,
        end: int | None = None,
        stages: Sequence[str] | None = None,
        assets: str | None = None,
    ) -> None:
        super().__init__(weight, start, end, stages)
        self.assets = assets
        self._frozen: Frozen | None = None

    def check_available(self) -> None:
        """Load the network.

        Raises:
            UserError: its weights are missing and cannot be downloaded.
        """
        if self._frozen is None and self.weight > 0:
            off = "train without it (loss.perceptual=null or loss=default)"
            self._frozen = Frozen(self.build(find_weights(self.net, self.assets, off)))

    def build(self, path) -> nn.Module:
        """The frozen network with the weights of a file."""
        raise NotImplementedError

    def network(self, device: torch.device) -> nn.Module:
        """The network on a device."""
        if self._frozen is None:
            self.check_available()
        return self._frozen.on(device)


class PerceptualVGGLoss(PretrainedLoss):
    """VGG16 features of rendering and target, both resized to 224x224: L1 at four layers, summed.

    relu1_2, relu2_2, relu3_3 and relu4_3; ImageNet normalisation (GaussianTalker). On a GPU the network runs
    in bfloat16.
    """

    net = "vgg"

    def build(self, path) -> nn.Module:
        return VGG16Features(path)

    def forward(self, output: RenderOutput, batch: FrameBatch) -> Tensor:
        device = output.image.device
        network = self.network(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            with torch.no_grad():
                targets = network(_resize(batch.target))
            rendered = network(_resize(output.image))
            return sum(F.l1_loss(ours.float(), theirs.float()) for ours, theirs in zip(rendered, targets))


class LPIPSLoss(PretrainedLoss):
    """Learned perceptual distance (Zhang et al. 2018, v0.1) at the frames' own resolution, mean over frames.

    Args:
        net: backbone, "alex" or "vgg".
        assets: see `PretrainedLoss`.
        weight, start, end, stages: see `Loss`.
    """

    def __init__(
        self,
        weight: float,
        start: int = 0,
        end: int | None = None,
        stages: Sequence[str] | None = None,
        assets: str | None = None,
        net: str = "alex",
    ) -> None:
        super().__init__(weight, start, end, stages, assets)
        if net not in BACKBONES:
            raise UserError(f"LPIPSLoss: net is one of {', '.join(BACKBONES)}, not {net!r}")
        self.net = net

    def build(self, path) -> nn.Module:
        return lpips_network(self.net, path)

    def forward(self, output: RenderOutput, batch: FrameBatch) -> Tensor:
        network = self.network(output.image.device)
        return network(output.image.movedim(-1, 1), batch.target.movedim(-1, 1), normalize=True).mean()


def _resize(image: Tensor) -> Tensor:
    """[B, H, W, 3] -> [B, 3, 224, 224]."""
    return F.interpolate(image.movedim(-1, 1), size=(VGG_SIZE, VGG_SIZE), mode="bilinear", align_corners=False)
