"""Files that look like torchvision's, with weights that no one trained: for tests only."""

from __future__ import annotations

from pathlib import Path

import torch

from talksplat.losses.pretrained import BACKBONES

ALEX = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}
VGG_WIDTHS = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512]
VGG_LAYERS = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21]


def write_fake_weights(folder: Path, net: str) -> Path:
    """Write a state dict under the expected name; the seed makes it the same each time."""
    generator = torch.Generator().manual_seed(1)
    shapes = ALEX
    if net == "vgg":
        inputs = [3, *VGG_WIDTHS[:-1]]
        shapes = {i: (n, m, 3) for i, n, m in zip(VGG_LAYERS, VGG_WIDTHS, inputs)}
    state = {"classifier.6.bias": torch.zeros(1000)}
    for index, (out, width, size) in shapes.items():
        scale = (2 / (width * size**2)) ** 0.5
        state[f"features.{index}.weight"] = torch.randn(out, width, size, size, generator=generator) * scale
        state[f"features.{index}.bias"] = torch.zeros(out)
    path = folder / BACKBONES[net].file
    torch.save(state, path)
    return path


def forget_weights(monkeypatch, folder: Path) -> None:
    """No assets, an empty cache and no network."""
    monkeypatch.delenv("TALKSPLAT_ASSETS", raising=False)
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(folder))
    monkeypatch.setattr("talksplat.losses.pretrained.URL", "http://127.0.0.1:9/")
