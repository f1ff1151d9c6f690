"""Density control of the layers of an avatar, for each subject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from talksplat.errors import UserError
from talksplat.models.avatar import Avatar
from talksplat.models.compositor import LayerView
from talksplat.models.layer import PREDICTED_MODES
from talksplat.parallel.distributed import check_equal, take_from_first
from talksplat.training.density.base import DensityControl
from talksplat.training.optimizers import Optimizers
from talksplat.training.parameter_table import Entry
from talksplat.training.random_state import drawn_alike
from talksplat.training.stage import Stage


class LayerDensity:
    """The strategies of a stage: one for each subject and layer, since each has Gaussians of its own.

    Args:
        model: the avatar; the subject that is bound counts in each step.
        stage: with the strategies.
        trained: parameters that the stage trains.
        scene_scale: size (dm) that limits are relative to, of each subject.
        seed: of the strategies' random numbers.

    Raises:
        UserError: a strategy for a layer that does not exist, or for one whose Gaussians the stage does not train.
    """

    def __init__(
        self, model: Avatar, stage: Stage, trained: Sequence[Entry], scene_scale: Mapping[str, float], seed: int = 0
    ) -> None:
        self.model, self.mode, self.seed = model, stage.mode, seed
        if isinstance(stage.density, Mapping):
            for name in stage.density.keys() - model.layers.keys():
                raise UserError(f"density names {name!r}, but the avatar's layers are {', '.join(model.layers)}")
        names = {entry.name for entry in trained}
        self.controls: dict[str, dict[str, DensityControl]] = {subject: {} for subject in model.subjects.names}
        for layer, part in model.layers.items():
            if stage.density_of(layer) is None:
                continue
            frozen = [key for key in part.gaussians.params if f"{layer}.{key}" not in names]
            if frozen:
                raise UserError(
                    f"density control of {layer} adds and removes Gaussians, but the stage does not train "
                    f"{layer}.{frozen[0]}: train {layer}.*, or give the stage density control for other layers only (docs/avatars.md)"
                )
            for subject, own in self.controls.items():
                own[layer] = stage.density_of(layer)
                own[layer].initialize(scene_scale[subject])

    @property
    def _bound(self) -> dict[str, DensityControl]:
        return self.controls[self.model.subjects.bound]

    def active(self, step: int) -> dict[str, DensityControl]:
        """Strategies that collect statistics at this step."""
        return {name: control for name, control in self._bound.items() if control.is_active(step)}

    def wants_absgrad(self, step: int) -> bool:
        """Whether any of them reads absolute screen gradients."""
        return any(control.absgrad for control in self.active(step).values())

    def penalties(self) -> list[Tensor]:
        """Addends of the loss."""
        layers = self.model.layers
        found = [control.penalty(layers[name].gaussians.params) for name, control in self._bound.items()]
        return [penalty for penalty in found if penalty is not None]

    def statistics(self, views: Mapping[str, LayerView], step: int, width: int, height: int) -> dict[str, Tensor]:
        """Statistics of a batch after its backward pass, by LAYER/NAME: sums over frames."""
        return {
            f"{name}/{key}": value
            for name, control in self.active(step).items()
            for key, value in control.statistics(views[name].seen(), width, height).items()
        }

    def observe(self, statistics: Mapping[str, Tensor], step: int) -> None:
        """Accumulate the statistics of a step."""
        for name, control in self.active(step).items():
            own = {
                key.removeprefix(f"{name}/"): value for key, value in statistics.items() if key.startswith(f"{name}/")
            }
            control.observe(self.model.layers[name].gaussians.params, own)

    def act(self, optimizers: Optimizers, step: int, sh_degree: int, device: torch.device) -> None:
        """Add, remove and move Gaussians after the optimiser step."""
        bound = self.model.subjects.bound
        for subject in self.controls:  # refinement is everybody's, whoever's turn it is at this step
            if subject == bound or any(control.refines_at(step) for control in self.controls[subject].values()):
                self.model.bind(subject)
                self._act(optimizers, step, sh_degree, device, subject == bound)
        self.model.bind(bound)

    def _act(self, optimizers: Optimizers, step: int, sh_degree: int, device: torch.device, stepped: bool) -> None:
        for index, (name, control) in enumerate(self._bound.items()):
            refines, acts = control.refines_at(step), stepped and control.acts_after(step)
            if not refines and not acts:
                continue
            layer = self.model.layers[name]
            params, own = layer.gaussians.params, optimizers.of_layer(self._subject, name)
            if refines and self.mode in PREDICTED_MODES:
                # Pruning must read the opacities that are rendered now, not those from the start of the stage.
                layer.bake_canonical(sh_degree)
                take_from_first(params.values())  # networks may round differently per device
            with drawn_alike(self.seed + index, step, device):
                if refines:
                    control.refine(params, own, step)
                if acts:
                    rates = {key: adam.param_groups[0]["lr"] for key, adam in own.items()}
                    control.after_step(params, own, step, rates)
            if refines:
                check_equal(params, f"after density control of {name} at step {step}")

    @property
    def _subject(self) -> str | None:
        """Subject of the optimisers; None where there is only one."""
        return self.model.subjects.bound if len(self.controls) > 1 else None

    def state_dict(self) -> dict[str, Any]:
        """State of each strategy by layer, or by SUBJECT/LAYER where there are several subjects."""
        return {key: control.state_dict() for key, control in self._by_key().items()}

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Inverse of `state_dict`, on `device`."""
        for key, control in self._by_key().items():
            control.load_state_dict(_to_device(state[key], device))

    def _by_key(self) -> dict[str, DensityControl]:
        several = len(self.controls) > 1
        return {
            f"{subject}/{name}" if several else name: control
            for subject, own in self.controls.items()
            for name, control in own.items()
        }


def _to_device(value: Any, device: torch.device) -> Any:
    if isinstance(value, dict):
        return {key: _to_device(item, device) for key, item in value.items()}
    return value.to(device) if isinstance(value, Tensor) else value
