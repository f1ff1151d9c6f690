"""Models built from the shipped configuration, and what to feed them."""

from __future__ import annotations

import torch

from talksplat.config import compose, instantiate
from talksplat.geometry.cameras import intrinsics, viewmat_from_euler_trans
from talksplat.models.subject_statistics import SubjectStatistics
from talksplat.training.parameter_table import ParameterTable
from talksplat.types import Conditions


def configure(
    name: str = "gaussiantalker", overrides: tuple[str, ...] = (), paper: bool = False, audio_width: int = 29
):
    """The shipped configuration of a model, with `experiment=NAME/paper` on request."""
    experiment = [f"experiment={name}/paper", "loss=default"] if paper else []
    audio = ["audio=deepspeech", f"audio.width={audio_width}"]
    dataset = ["dataset.motion_lags=[0.1,0.4]", "dataset.action_units=[]"]
    return compose("train", [f"model={name}", *experiment, *audio, *dataset, *overrides])


def build(name: str = "gaussiantalker", overrides: tuple[str, ...] = (), paper: bool = False, audio_width: int = 29):
    """The model of such a configuration."""
    return instantiate(configure(name, overrides, paper, audio_width).model)


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
        frames=torch.arange(frames),
    )


def sphere(count: int, seed: int = 0) -> torch.Tensor:
    points = torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(points, dim=-1)


def subject_of(count: int) -> SubjectStatistics:
    colors = (255 * torch.rand(count, 3, generator=torch.Generator().manual_seed(1))).to(torch.uint8)
    return SubjectStatistics(sphere(count), make_conditions(20, seed=9).viewmats, colors)


def set_up(model, count: int = 60, overwrite_outputs: bool = True):
    """A subject of `count` points; deformation outputs away from zero, so that tests see an effect."""
    model.setup_subject(subject_of(count))
    return wake(model) if overwrite_outputs else model


def parameters_of(model, kind: str):
    """Parameters of the model in a learning-rate kind."""
    return [entry.parameter for entry in ParameterTable(model).entries() if entry.kind == kind]


def wake(model):
    """Deformation outputs away from zero."""
    if model.has_deformation:
        for parameter in model.face.deformation.heads.heads.outputs.parameters():
            if parameter.ndim > 1:  # biases stay at zero
                torch.nn.init.normal_(parameter, std=0.05)
        for part in (model.face.deformation.motion, model.face.deformation.expression):
            if part is not None:
                torch.nn.init.normal_(part.network[-1].weight, std=0.05)
    return model
