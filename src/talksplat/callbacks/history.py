"""Metric history: rows of numbers over the steps of the whole run."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch


@dataclass(frozen=True)
class RunOffset:
    """Steps and training seconds of the stages before this one, so that one axis runs over the whole run."""

    steps: int
    seconds: float


def log_metrics(
    trainer: pl.Trainer, module: pl.LightningModule, values: Mapping[str, float], offset: RunOffset
) -> None:
    """Send values of a stage to the trackers, with the training seconds of the whole run (pauses do not count)."""
    row = {f"{module.stage_name}/{name}": value for name, value in values.items()}
    row["seconds"] = offset.seconds + module.seconds
    for tracker in trainer.loggers:
        tracker.log_metrics(row, step=offset.steps + trainer.global_step)


class History(pl.Callback):
    """Sends losses, PSNR, learning rates, counts and speed to the trackers.

    Args:
        every: steps between rows.
        offset: of this stage in the run.
    """

    def __init__(self, every: int, offset: RunOffset) -> None:
        self.every = every
        self.offset = offset
        self._last: tuple[float, int] | None = None

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if module.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, *_: Any) -> None:
        step = trainer.global_step
        if step % self.every and step != trainer.max_steps:
            return
        values = {name: float(value) for name, value in outputs.items()}
        values |= {f"lr/{name}": rate for name, rate in module.all_optimizers.learning_rates().items()}
        values["num_gaussians"] = module.model.num_gaussians
        now = time.perf_counter()
        if self._last is not None:
            values["images_per_second"] = (step - self._last[1]) * module.images_per_step / (now - self._last[0])
        self._last = (now, step)
        if module.device.type == "cuda":
            values["gpu_memory_gib"] = torch.cuda.max_memory_allocated() / 2**30
        log_metrics(trainer, module, values, self.offset)
