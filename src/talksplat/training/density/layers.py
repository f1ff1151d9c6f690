"""Density control of the layers of an avatar, for each subject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from talksplat.errors import UserError
from talksplat.models.avatar import Avatar
from talksplat.training.density.base import DensityControl
from talksplat.training.parameter_table import Entry
from talksplat.training.stage import Stage


def density_controls(
    model: Avatar, stage: Stage, trained: Sequence[Entry], scene_scale: Mapping[str, float]
) -> dict[str, dict[str, DensityControl]]:
    """Strategies by subject and layer, initialised for a stage.

    Args:
        trained: parameters that the stage trains.
        scene_scale: size (dm) that limits are relative to, of each subject.

    Raises:
        UserError: a strategy for a layer that there is not, or for one whose Gaussians the stage does not train.
    """
    if isinstance(stage.density, Mapping):
        for name in stage.density.keys() - model.layers.keys():
            raise UserError(f"density names {name!r}, but the avatar's layers are {', '.join(model.layers)}")
    names = {entry.name for entry in trained}
    controls: dict[str, dict[str, DensityControl]] = {subject: {} for subject in model.subjects.names}
    for layer, part in model.layers.items():
        frozen = [key for key in part.gaussians.params if f"{layer}.{key}" not in names]
        for subject, own in controls.items():
            control = stage.density_of(layer)
            if control is None:
                continue
            if frozen:
                raise UserError(
                    f"density control of {layer} adds and removes Gaussians, but the stage does not train "
                    f"{layer}.{frozen[0]}: train {layer}.* or set density={{{layer}: null}}"
                )
            control.initialize(scene_scale[subject])
            own[layer] = control
    return controls
