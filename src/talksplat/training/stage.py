"""Stage: one fit, with what it trains, its steps and its learning rates."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

import torch

from talksplat.errors import UserError
from talksplat.geometry.cameras import camera_centers
from talksplat.models.layer import MODES
from talksplat.rasterizer.base import Rasterizer
from talksplat.training.schedule import LogLinear, Schedule

BACKBONE_SHARE = 0.1  # learning rate of a pretrained speech model's layers relative to the networks
GAUSSIAN_GROUPS = ("means", "scales", "quats", "opacities", "sh0", "shN")


@dataclass(frozen=True)
class LearningRates:
    """Initial and final learning rate of each parameter group; a single number is constant.

    Rates go from the first to the second value over `horizon` steps (None: over the whole stage), as `schedule` has it.
    `audio_backbone` is for the layers of a speech model that a stage unfreezes; None: a tenth of `networks`.
    `poses` is for `pose_refinement`, in units of its usual correction.
    `network_eps` is Adam's epsilon for all but the Gaussians; the originals have that of 3DGS, 1e-15, for everything.
    `rates` holds rates of single parameters by globs of their names ("mouth.means", see `ParameterTable`), instead of those
    of their kind.
    `scale` multiplies means, triplane and networks (and audio_backbone), as the originals do with the spread of the cameras
    ("camera_spread": 1.1 times the largest distance of a training camera from their mean, in dm), which makes the
    rates depend on how much the head moved. A number is the same for every clip. (GaussianTalker)
    """

    means: Sequence[float] = (1.6e-4, 1.6e-6)
    networks: Sequence[float] = (1e-4, 1e-5)
    triplane: Sequence[float] = (1.6e-3, 1.6e-4)
    scales: Sequence[float] = (5e-3,)
    quats: Sequence[float] = (1e-3,)
    opacities: Sequence[float] = (0.05,)
    sh0: Sequence[float] = (2.5e-3,)
    shN: Sequence[float] = (1.25e-4,)
    audio_backbone: Sequence[float] | None = None
    poses: Sequence[float] = (0.02, 0.002)
    scale: float | Literal["camera_spread"] = 1.0
    horizon: int | None = None
    network_eps: float = 1e-15
    rates: Mapping[str, Sequence[float]] | None = None
    schedule: Schedule = field(default_factory=LogLinear)

    def __post_init__(self) -> None:
        kinds = ("means", "networks", "triplane", "audio_backbone", "poses", *GAUSSIAN_GROUPS[1:])
        given = {group: self._rates(group) for group in kinds}
        if not 0 < self.network_eps < 1:
            raise UserError(f"learning_rates.network_eps={self.network_eps} must be between 0 and 1, e.g. 1e-8")
        if self.rates is not None and not isinstance(self.rates, Mapping):
            raise UserError(f"learning_rates.rates is a mapping {{glob: [initial, final]}}, not {self.rates!r}")
        for glob, rates in (self.rates or {}).items():
            if not isinstance(rates, (list, tuple)) or not all(isinstance(rate, (int, float)) for rate in rates):
                raise UserError(f"learning_rates.rates[{glob!r}]: give a list of one or two rates, not {rates!r}")
            given[f"rates.{glob}"] = list(rates)
        for group, rates in given.items():
            if len(rates) not in (1, 2) or min(rates) < 0 or (len(rates) == 2 and min(rates) == 0):
                raise UserError(
                    f"learning_rates.{group}: give one rate or [initial, final], both positive, not {rates}"
                )

    def glob_of(self, name: str) -> str | None:
        """The glob in `rates` that matches a parameter; None: its rate is that of its kind.

        Raises:
            UserError: two globs match it.
        """
        globs = [glob for glob in self.rates or {} if fnmatchcase(name, glob)]
        if len(globs) > 1:
            raise UserError(f"learning_rates.rates: {globs[0]!r} and {globs[1]!r} both match {name}")
        return globs[0] if globs else None

    def rate_of(self, name: str) -> Sequence[float] | None:
        """The entry of `rates` for a parameter; None: that of its kind."""
        glob = self.glob_of(name)
        return None if glob is None else self.rates[glob]

    def text(self, kind: str, name: str) -> str:
        """Rates of a parameter for display."""
        return " to ".join(f"{rate:g}" for rate in self.rate_of(name) or self._rates(kind))

    def at(self, group: str, step: int, num_steps: int, spread: float, rates: Sequence[float] | None = None) -> float:
        """Learning rate of a group at a step; `rates` instead of the group's own."""
        rates = self._rates(group) if rates is None else list(rates)
        fraction = min(step / max(self.horizon or num_steps, 1), 1.0)
        rate = rates[0] if len(rates) == 1 else self.schedule(rates[0], rates[1], fraction)
        if group in ("means", "networks", "triplane", "audio_backbone"):
            rate *= spread if self.scale == "camera_spread" else float(self.scale)
        return rate

    def _rates(self, group: str) -> list[float]:
        if group == "audio_backbone" and self.audio_backbone is None:
            return [BACKBONE_SHARE * rate for rate in self.networks]
        return list(getattr(self, group))


@dataclass(frozen=True)
class Stage:
    """One fit.

    Args:
        mode: "canonical" trains a static head, "deform" the avatar with its deformation, "joint" both at once.
        steps: optimiser steps.
        batch_size: frames per step and device.
        learning_rates: see `LearningRates`.
        density: a `DensityControl` or None; adds and removes Gaussians.
        density_scale: what sizes in `density` are relative to: "head" (radius of the start points), or "camera_spread" as in
            the originals, where it measures how much the head moved.
        sh_degree_every: the active spherical-harmonics degree grows by one every so many steps; None: full from the start.
        unfreeze_audio_layers: last layers of the speech model inside the avatar that are trained; 0: all are frozen.
        train: globs of the names of trained parameters ("face.*", "shared.tokens.*"); all others are frozen. None: train all.
        deforms: deformed attributes by layer; None: all that the layers' deformations output.
    """

    mode: Literal["canonical", "deform", "joint"]
    steps: int
    batch_size: int
    learning_rates: LearningRates
    density: Any = None
    density_scale: Literal["head", "camera_spread"] = "head"
    sh_degree_every: int | None = None
    unfreeze_audio_layers: int = 0
    train: Sequence[str] | None = None
    deforms: Mapping[str, Sequence[str]] | None = None

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise UserError(f"stage mode is one of {', '.join(MODES)}, not {self.mode!r}")
        if self.density_scale not in ("head", "camera_spread"):
            raise UserError(f"density_scale is 'head' or 'camera_spread', not {self.density_scale!r}")
        if self.train is not None and not isinstance(self.train, (list, tuple)):
            raise UserError(f"train of a stage is a list of globs such as [face.*], not {self.train!r}")
        lists = self.deforms.values() if isinstance(self.deforms, Mapping) else [] if self.deforms is None else [None]
        if not all(isinstance(attributes, (list, tuple)) for attributes in lists):
            raise UserError(f"deforms of a stage is {{layer: [attributes]}}, not {self.deforms!r}")
        if self.steps < 1 or self.batch_size < 1:
            raise UserError(f"a stage needs steps >= 1 and batch_size >= 1, not {self.steps} and {self.batch_size}")
        if self.unfreeze_audio_layers < 0 or (self.unfreeze_audio_layers and self.mode == "canonical"):
            raise UserError(
                f"unfreeze_audio_layers={self.unfreeze_audio_layers} must be at least 0, and 0 in a canonical stage, which "
                "has no audio input"
            )

    def density_of(self, layer: str) -> Any:
        """New density control of a layer; None: the number of its Gaussians is fixed."""
        return copy.deepcopy(self.density.get(layer) if isinstance(self.density, Mapping) else self.density)

    @property
    def final_mode(self) -> str:
        """Mode in which the avatar is rendered after the stage: predictions of a joint stage are baked by then."""
        return "deform" if self.mode == "joint" else self.mode

    def sh_degree(self, step: int, max_degree: int) -> int:
        """Active spherical-harmonics degree at a step."""
        return max_degree if self.sh_degree_every is None else min(step // self.sh_degree_every, max_degree)


class StagePlan:
    """The stages of a preset, in order.

    Args:
        order: names of the stages to run.
        stages: all stages by name.
        quality: False for presets that are for trials only, which the log says.
        purpose: one sentence, logged at the start.
    """

    def __init__(self, order: Sequence[str], stages: dict[str, Stage], quality: bool, purpose: str) -> None:
        unknown = [name for name in order if stages.get(name) is None]
        if unknown:
            raise UserError(f"stage.order names {unknown[0]!r}; stage.stages has {', '.join(stages)}")
        if not order:
            raise UserError("stage.order is empty: name at least one of " + ", ".join(stages))
        self.order = list(order)
        self.stages = stages
        self.quality = quality
        self.purpose = purpose

    def __iter__(self):
        return iter((name, self.stages[name]) for name in self.order)


def camera_spread(viewmats: torch.Tensor) -> float:
    """1.1 times the largest distance (dm) of a camera centre from their mean; viewmats [F,4,4] of the training frames."""
    centers = camera_centers(viewmats)
    return float(1.1 * (centers - centers.mean(0)).norm(dim=-1).max())


def check_batches(plan: StagePlan, devices: int, num_frames: int) -> None:
    """Check that several devices can have different frames in each step.

    Raises:
        UserError: too few training frames.
    """
    for name, stage in plan:
        if devices > 1 and devices * stage.batch_size > num_frames:
            raise UserError(
                f"stage {name} needs {devices} x {stage.batch_size} different frames per step, and there are {num_frames} "
                f"training frames: lower trainer.devices or stage.stages.{name}.batch_size"
            )


def check_absgrad(plan: StagePlan, rasterizer: Rasterizer, device: torch.device) -> None:
    """Check that the rasteriser computes the gradients that density control reads.

    Raises:
        UserError: it has no absolute ones on this device.
    """
    for name, stage in plan:
        controls = stage.density.values() if isinstance(stage.density, Mapping) else [stage.density]
        if any(getattr(control, "absgrad", False) for control in controls) and not rasterizer.has_absgrad(device):
            raise UserError(
                f"stage.stages.{name}.density.absgrad=true, but {type(rasterizer).__name__} has no absolute gradients on "
                f"{device.type}: train on a GPU with rasterizer=gsplat, use rasterizer=torch (slow), or set it to false"
            )
