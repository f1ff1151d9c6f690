"""Pretrained backbones of perceptual losses and metrics: their weights, and the networks."""

from __future__ import annotations

import os
import pickle
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from talksplat.errors import UserError
from talksplat.media.assets import retrieve

ASSETS_VARIABLE = "TALKSPLAT_ASSETS"
URL = "https://download.pytorch.org/models/"


@dataclass(frozen=True)
class Backbone:
    """An ImageNet network of torchvision."""

    title: str
    file: str
    sha256: str


BACKBONES = {
    "alex": Backbone(
        "AlexNet", "alexnet-owt-7be5be79.pth", "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02"
    ),
    "vgg": Backbone("VGG16", "vgg16-397923af.pth", "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0"),
}
VGG16_LAYERS = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512)  # up to relu4_3
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
VGG16_TAPS = (3, 8, 15, 22)  # relu1_2, relu2_2, relu3_3, relu4_3 in torchvision's numbering


def find_weights(net: Literal["alex", "vgg"], assets: str | Path | None, off: str, download: bool = True) -> Path:
    """Path of a backbone's weights: in `assets`, TALKSPLAT_ASSETS or torch's hub cache, else downloaded into the last.

    Args:
        net: "alex" or "vgg".
        assets: folder with files under torchvision's own names.
        off: setting that switches the user of the weights off, for the message.
        download: whether to try the network.

    Raises:
        UserError: there is none; says how to get it, where to put it and how to switch its user off.
    """
    backbone, cache = BACKBONES[net], Path(torch.hub.get_dir()) / "checkpoints"
    given = [Path(folder) for folder in (assets, os.environ.get(ASSETS_VARIABLE)) if folder]
    for folder in (*given, cache):
        if (folder / backbone.file).is_file():
            return folder / backbone.file
    why = "not looked for on the network"
    if download:
        try:
            return retrieve(URL + backbone.file, backbone.file, backbone.sha256, cache)
        except OSError as error:
            why = f"downloading failed: {error}"
    place = given[0] if given else f"a folder named by {ASSETS_VARIABLE} or paths.assets"
    raise UserError(
        f"{backbone.title} weights are missing ({why}): get {URL}{backbone.file} and put it into {place} "
        f"(or {cache}), or {off}"
    )


def load_state(path: Path) -> dict[str, Tensor]:
    """Convolution weights of a torchvision state dict, "features." stripped from their names.

    Raises:
        UserError: not such a file.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise UserError(
            f"{path} cannot be read as network weights ({type(error).__name__}): download it again"
        ) from error
    prefix = "features."
    items = state.items() if isinstance(state, dict) else ()
    found = {name.removeprefix(prefix): value for name, value in items if name.startswith(prefix)}
    if not found:
        raise UserError(f"{path} holds no torchvision weights (no key starts with {prefix!r}): download it again")
    return found


class VGG16Features(nn.Module):
    """VGG16 up to relu4_3, frozen; layers are numbered as torchvision's `features`.

    Args:
        path: state dict of torchvision's VGG16.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = 3
        for item in VGG16_LAYERS:
            if item == "M":
                layers.append(nn.MaxPool2d(2, 2))
            else:
                layers += [nn.Conv2d(width, item, 3, padding=1), nn.ReLU()]
                width = item
        self.layers = nn.Sequential(*layers)
        _load(self.layers, {name: name for name in self.layers.state_dict()}, path)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN)[:, None, None])
        self.register_buffer("std", torch.tensor(IMAGENET_STD)[:, None, None])
        self.requires_grad_(False).eval().to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> list[Tensor]:
        """relu1_2, relu2_2, relu3_3 and relu4_3 of images [B, 3, H, W] in [0, 1], which are normalised here."""
        hidden = ((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        taps = []
        for index, layer in enumerate(self.layers):
            hidden = layer(hidden)
            if index in VGG16_TAPS:
                taps.append(hidden)
        return taps


def lpips_network(net: Literal["alex", "vgg"], path: Path) -> nn.Module:
    """LPIPS v0.1 (Zhang et al. 2018), frozen: linear layers of the `lpips` package over a backbone's weights."""
    import lpips

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package uses an argument that torchvision renamed
        network = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
    # Its slices keep torchvision's layer numbers: "slice3.6.weight" is "features.6.weight".
    _load(network.net, {name: name.split(".", 1)[1] for name in network.net.state_dict()}, path)
    return network.requires_grad_(False).eval()


class Frozen:
    """Holder of a network that is used by a module without being part of it: neither trained nor in checkpoints."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.device = torch.device("cpu")

    def on(self, device: torch.device) -> nn.Module:
        """The network, moved to the device once."""
        if device != self.device:
            self.network.to(device)
            self.device = device
        return self.network


def _load(network: nn.Module, names: dict[str, str], path: Path) -> None:
    state = load_state(path)
    absent = sorted(set(names.values()) - set(state))
    if absent:
        raise UserError(f"{path} is not the expected network (no features.{absent[0]}): get {URL}{path.name}")
    try:
        network.load_state_dict({name: state[stored] for name, stored in names.items()})
    except RuntimeError as error:
        raise UserError(f"{path} is not the expected network (other shapes): get {URL}{path.name}") from error
