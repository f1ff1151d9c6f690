"""A row of a training run's numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pytorch_lightning as pl


@dataclass(frozen=True)
class Before:
    """What the stages before this one took, so that one axis runs over the whole run."""

    steps: int
    seconds: float


def log_row(trainer: pl.Trainer, module: pl.LightningModule, values: Mapping[str, float], before: Before) -> None:
    """Send values of a stage to the trackers, with the training seconds of the whole run (pauses do not count)."""
    row = {f"{module.stage_name}/{name}": value for name, value in values.items()}
    row["seconds"] = before.seconds + module.seconds
    for tracker in trainer.loggers:
        tracker.log_metrics(row, step=before.steps + trainer.global_step)
