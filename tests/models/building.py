"""Models built from the shipped configuration, and what to feed them."""

from __future__ import annotations

from pathlib import Path

import hydra
import torch
from hydra.errors import InstantiationException
from omegaconf import OmegaConf

from talksplat.geometry.cameras import intrinsics, viewmat_from_euler_trans
from talksplat.types import Conditions

CONF = Path(__file__).parents[2] / "conf"


def build(name: str = "gaussiantalker", overrides: tuple[str, ...] = (), paper: bool = False, audio_width: int = 29):
    config = OmegaConf.create(
        {
            "audio": {"width": audio_width, "window": 16, "context": 8},
            "dataset": {"motion_lags": [0.1, 0.4], "action_units": []},
        }
    )
    config.model = OmegaConf.load(CONF / "model" / f"{name}.yaml")
    if paper:
        config = OmegaConf.merge(config, OmegaConf.load(CONF / "experiment/gaussiantalker/paper.yaml"))
    config = OmegaConf.merge(config, OmegaConf.from_dotlist(list(overrides)))
    try:
        return hydra.utils.instantiate(config.model, _convert_="all")
    except InstantiationException as error:
        raise error.__cause__ from None


def make_conditions(frames: int, seed: int = 0, audio_width: int = 29) -> Conditions:
    generator = torch.Generator().manual_seed(seed)
    euler = 0.2 * torch.randn(frames, 3, generator=generator)
    trans = torch.tensor([0.1, -0.2, -10.0]) + 0.3 * torch.randn(frames, 3, generator=generator)
    return Conditions(
        audio=torch.randn(frames, 8, 16, audio_width, generator=generator),
        eye=torch.rand(frames, generator=generator),
        viewmats=viewmat_from_euler_trans(euler, trans),
        Ks=intrinsics(1200.0, 512, 512).expand(frames, 3, 3),
        motion=0.1 * torch.randn(frames, 2, 6, generator=generator),
    )


def sphere(count: int, seed: int = 0) -> torch.Tensor:
    points = torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(points, dim=-1)


def set_up(model, count: int = 60, overwrite_outputs: bool = True):
    """A subject of `count` points; deformation outputs away from zero, so that tests see an effect."""
    colors = (255 * torch.rand(count, 3, generator=torch.Generator().manual_seed(1))).to(torch.uint8)
    model.setup_subject(sphere(count), colors, make_conditions(20, seed=9).viewmats)
    if overwrite_outputs and model.deform_modules():
        for output in model.deformation.heads.outputs.values():
            torch.nn.init.normal_(output.weight, std=0.05)
        if getattr(model, "motion", None) is not None:
            torch.nn.init.normal_(model.motion.network[-1].weight, std=0.05)
    return model
