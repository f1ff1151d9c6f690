"""Logs a training step's numbers every so often."""

from __future__ import annotations

import time
from typing import Any

import pytorch_lightning as pl
import torch

from talksplat.callbacks.row import Before, log_row


class History(pl.Callback):
    """Sends losses, PSNR, learning rates, counts and speed to the trackers.

    Args:
        every: steps between rows.
        before: what the stages before this one took.
    """

    def __init__(self, every: int, before: Before) -> None:
        self.every = every
        self.before = before
        self._last: tuple[float, int] | None = None

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if module.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
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
        log_row(trainer, module, values, self.before)
