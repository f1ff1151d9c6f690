"""Overview of an avatar and of what each stage trains: checked before training, shown by `dry_run=true`."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import torch
from rich.console import Console
from rich.table import Table

from talksplat.data.datamodule import PortraitDataModule
from talksplat.data.subjects import SubjectCollection
from talksplat.errors import UserError
from talksplat.models.avatar import Avatar
from talksplat.models.inspection import deformed_by_layer
from talksplat.models.model_size import unused_tensors
from talksplat.training.density.layers import LayerDensity
from talksplat.training.parameter_table import ParameterTable, rows
from talksplat.training.stage import Stage, StagePlan
from talksplat.types import Conditions

logger = logging.getLogger(__name__)
WIDTH = 100


def check_stages(
    plan: StagePlan,
    model: Avatar,
    table: ParameterTable,
    scene_scale: Mapping[str, float],
    data: PortraitDataModule | SubjectCollection | None = None,
) -> None:
    """Raise a UserError for a stage that names parts that the avatar lacks, or trains nothing; `data` has a frame on which
    the layers are deformed."""
    for name, stage in plan:
        model.restrict(stage.deforms)
        trained = table.apply(stage)
        LayerDensity(model, stage, trained, scene_scale)
        idle = unused_tensors(model, stage.mode)
        own = [entry for entry in trained if entry.subject in (None, model.subjects.bound) and entry.kind != "poses"]
        if all(id(entry.parameter) in idle for entry in own):
            names = ", ".join(list(dict.fromkeys(entry.name for entry in trained))[:3])
            raise UserError(
                f"stage {name} trains only what takes no part in mode {stage.mode} ({names}...): nothing would have a gradient; "
                "widen its train, or change its mode"
            )
    if data is not None and any(stage.deforms for _, stage in plan):
        _check_deformed(plan, model, data.batch(torch.zeros(1, dtype=torch.long), model.device).conditions)


def _check_deformed(plan: StagePlan, model: Avatar, conditions: Conditions) -> None:
    model.restrict(None)
    outputs = deformed_by_layer(model.eval(), conditions)
    model.train()
    for name, stage in plan:
        for layer, attributes in (stage.deforms or {}).items():
            absent = [attribute for attribute in attributes if attribute not in outputs.get(layer, ())]
            found = ", ".join(outputs.get(layer, ())) or "nothing"
            text = (
                f"stage.stages.{name}.deforms: the deformation of {layer} outputs {found}, and not {', '.join(absent)}"
            )
            if absent and len(absent) == len(attributes):
                raise UserError(
                    f"{text}, so that nothing of it would move: name what it outputs, or [] for a layer at rest"
                )
            if absent:
                logger.warning("%s, which has no effect", text)


def overview(plan: StagePlan, model: Avatar, table: ParameterTable, audio: str, devices: int) -> str:
    """Text of several lines: the avatar, then one table per stage."""
    size = sum(entry.parameter.numel() for entry in table.entries())
    tokens = ", ".join(model.token_names) or "none"
    lines = [f"{type(model).__name__} on audio={audio}, {size:,} parameters, tokens: {tokens}"]
    for subject, layers in model.layer_sizes().items():
        counts = ", ".join(f"{name} {count:,}" for name, count in layers.items())
        lines.append(f"subject {subject}: Gaussians of {counts}")
    for name, stage in plan:
        times = "" if devices == 1 else f"{devices} x "
        lines.append(f"stage {name}: mode {stage.mode}, {stage.steps:,} steps of {times}{stage.batch_size} images")
        lines += [_line(layer, stage, model) for layer in model.layers]
        lines.append(_table(table, stage))
    return "\n".join(lines)


def _line(layer: str, stage: Stage, model: Avatar) -> str:
    control = stage.density_of(layer)
    density = "none" if control is None else type(control).__name__
    model.restrict(stage.deforms)
    part = model.layers[layer]
    if not part.deforms(stage.mode):
        return f"  {layer}: not deformed; density control: {density}"
    deformed = "all attributes of its deformation" if part.deformed is None else ", ".join(part.deformed)
    return f"  {layer}: deformed: {deformed}; density control: {density}"


def _table(table: ParameterTable, stage: Stage) -> str:
    shown = Table(box=None, pad_edge=True)
    for title, justify in (("parameters", "left"), ("kind", "left"), ("learning rate", "left"), ("numbers", "right")):
        shown.add_column(title, justify=justify)
    for part, kind, rate, count in rows(table, stage):
        shown.add_row(part, kind, rate, f"{count:,}")
    console = Console(width=WIDTH, color_system=None)
    with console.capture() as captured:
        console.print(shown)
    return captured.get().rstrip()
