"""Keeps the newest checkpoint of a stage, and of the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from talksplat.parallel.group import is_first
from talksplat.training.checkpoint import link_atomically, save_atomically


class KeepNewest(pl.Callback):
    """Writes `STAGE/last.ckpt` and `RUN/last.ckpt` every so many steps and at the end, never leaving a half-written one.

    Args:
        run_dir: the run folder.
        stage_dir: the stage's folder.
        every: steps between checkpoints.
    """

    def __init__(self, run_dir: Path, stage_dir: Path, every: int) -> None:
        self.run_dir = run_dir
        self.path = stage_dir / "last.ckpt"
        self.every = every

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        # The last step is saved in on_train_end, once the stage is handed over: a run killed in between repeats the end.
        if trainer.global_step % self.every == 0 and trainer.global_step < trainer.max_steps:
            self._keep(trainer)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        module.finish_stage()
        self._keep(trainer)

    def _keep(self, trainer: pl.Trainer) -> None:
        self.save(trainer, self.path)
        if is_first():
            link_atomically(self.path, self.run_dir / "last.ckpt")

    @staticmethod
    def save(trainer: pl.Trainer, path: Path) -> None:
        """Write a full checkpoint to `path`, atomically. All processes of a run call this, and the first one writes."""
        if is_first():
            save_atomically(trainer.save_checkpoint, path)
        else:
            trainer.save_checkpoint(path)  # gives what only this process knows
