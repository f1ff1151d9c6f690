"""What a run consists of, for estimates of the time that it takes."""

from __future__ import annotations

from omegaconf import DictConfig

from talksplat.callbacks.time_left import Part
from talksplat.evaluation.measure import ALIGNED, HELD_OUT, TRAINING, VALIDATION
from talksplat.subject_format.subject import Subject
from talksplat.training.stage import StagePlan

# Of an image, relative to a training image of a static head; only until each part is measured.
IMAGE_COST = {"canonical": 1.0, "joint": 2.5, "deform": 2.5}
MEASURED_COST = 2.0


def run_parts(plan: StagePlan, subject: Subject, config: DictConfig) -> list[Part]:
    """Stages of a run in their order, then what is measured."""
    parts = [Part(name, stage.mode, stage.steps, IMAGE_COST[stage.mode] * stage.batch_size) for name, stage in plan]
    evaluation = config.evaluation
    parts += [
        Part(HELD_OUT, "measured", len(subject.test), MEASURED_COST),
        Part(TRAINING, "measured", min(evaluation.train_frames, len(subject.train)), MEASURED_COST),
    ]
    if len(subject.val):
        parts.append(Part(VALIDATION, "measured", len(subject.val), MEASURED_COST))
    if evaluation.align_steps:
        parts.append(Part(ALIGNED, "aligned", len(subject.test), evaluation.align_steps * IMAGE_COST["deform"]))
    return parts
