"""Parts of a run with their relative costs, for the estimate of the time left."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from omegaconf import DictConfig

from talksplat.callbacks.time_left import Part
from talksplat.data.datamodule import PortraitDataModule
from talksplat.evaluation.measure import ALIGNED, HELD_OUT, TRAINING, VALIDATION
from talksplat.evaluation.people import part_of
from talksplat.training.stage import StagePlan

# Per image, relative to a training image of a static head; replaced as soon as a part is measured.
IMAGE_COST = {"canonical": 1.0, "joint": 2.5, "deform": 2.5}
MEASURED_COST = 2.0


def run_parts(plan: StagePlan, portraits: Mapping[str, PortraitDataModule], config: DictConfig) -> list[Part]:
    """Stages of a run in their order, then the measurements of each subject."""
    parts = [Part(name, stage.mode, stage.steps, IMAGE_COST[stage.mode] * stage.batch_size) for name, stage in plan]
    evaluation = config.evaluation
    for name, portrait in portraits.items():
        subject = portrait.subject
        of = partial(part_of, person=name) if len(portraits) > 1 else str
        parts += [
            Part(of(HELD_OUT), "measured", len(subject.test), MEASURED_COST),
            Part(of(TRAINING), "measured", min(evaluation.train_frames, len(subject.train)), MEASURED_COST),
        ]
        if len(subject.val):
            parts.append(Part(of(VALIDATION), "measured", len(subject.val), MEASURED_COST))
        if evaluation.align_steps:
            cost = evaluation.align_steps * IMAGE_COST["deform"]
            parts.append(Part(of(ALIGNED), "aligned", len(subject.test), cost))
    return parts
