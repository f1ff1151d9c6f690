"""Keeps the newest checkpoint of a stage, and of the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from talksplat.training.checkpoint import link_atomically, save_atomically


class KeepNewest(pl.Callback):
    """Writes `STAGE/last.ckpt` and `RUN/last.ckpt` every so many steps and at the end, never leaving a half-written one.

    Args:
        run_dir: the run folder.
        stage_dir: the stage's folder.
        every: steps between checkpoints.
        step_offset: steps of the stages before this one.
    """

    def __init__(self, run_dir: Path, stage_dir: Path, every: int, step_offset: int = 0) -> None:
        self.run_dir = run_dir
        self.path = stage_dir / "last.ckpt"
        self.every = every
        self.step_offset = step_offset

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        # The last step is saved in on_train_end, once the stage is handed over: a run killed in between repeats the end.
        if trainer.global_step % self.every == 0 and trainer.global_step < trainer.max_steps:
            self._keep(trainer, module)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        module.finish_stage()
        self._keep(trainer, module)

    def _keep(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.save(trainer, self.path)
        link_atomically(self.path, self.run_dir / "last.ckpt")
        final = trainer.global_step >= trainer.max_steps
        for tracker in trainer.loggers:
            tracker.log_checkpoint(self.path, module.stage_name, self.step_offset + trainer.global_step, final)

    @staticmethod
    def save(trainer: pl.Trainer, path: Path) -> None:
        """Write a full checkpoint to `path`, atomically."""
        save_atomically(trainer.save_checkpoint, path)
