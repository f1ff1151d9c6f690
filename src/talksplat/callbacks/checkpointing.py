"""Newest and best checkpoint of a stage, and of the run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from talksplat.callbacks.preview import Preview
from talksplat.files import link, write_archive, write_json
from talksplat.parallel.distributed import is_first


class KeepCheckpoints(pl.Callback):
    """Writes `last.ckpt` every so many steps and at the end, and `best.ckpt` where a preview of held-out frames is better
    than all before it in this stage; both in the stage's folder and the run's, never a half-written one.

    Unless dataset.split=three, best is chosen by frames that are reported as well, so its numbers would flatter: what a run
    measures is `last.ckpt`.

    Args:
        run_dir: the run folder.
        stage_dir: the stage's folder.
        every: steps between newest checkpoints.
        preview: measures held-out frames; None: no best checkpoint.
        step_offset: steps of the stages before this one.
    """

    def __init__(
        self, run_dir: Path, stage_dir: Path, every: int, preview: Preview | None = None, step_offset: int = 0
    ) -> None:
        self.run_dir = run_dir
        self.newest, self.best = stage_dir / "last.ckpt", stage_dir / "best.ckpt"
        self.every = every
        self.step_offset = step_offset
        self.preview = preview
        self._record = stage_dir / "best.json"
        self._best_psnr = float("-inf")

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        record = json.loads(self._record.read_text()) if self._record.exists() else None
        # A record after the checkpoint that the stage resumes from is about to come again.
        if record is not None and record["step"] <= trainer.global_step:
            self._best_psnr = record["val_psnr_composite"]

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        # The last step is saved in on_train_end, once the stage is handed over: a run killed in between repeats the end.
        if trainer.global_step < trainer.max_steps:
            self._keep(trainer, module, newest=trainer.global_step % self.every == 0)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        module.finish_stage()
        self._keep(trainer, module, newest=True)

    def _keep(self, trainer: pl.Trainer, module: pl.LightningModule, newest: bool) -> None:
        best = self._is_best(trainer)
        if best or newest:
            self.save(trainer, self.best if best else self.newest)
        if best and is_first():
            # Before last.ckpt: a run killed in between comes by this step again.
            write_json(self._record, {"step": trainer.global_step, "val_psnr_composite": self._best_psnr})
            link(self.best, self.run_dir / "best.ckpt")
            if newest:
                link(self.best, self.newest)
        if newest and is_first():
            link(self.newest, self.run_dir / "last.ckpt")
            final = trainer.global_step >= trainer.max_steps
            for tracker in trainer.loggers:
                tracker.log_checkpoint(self.newest, module.stage_name, self.step_offset + trainer.global_step, final)

    def _is_best(self, trainer: pl.Trainer) -> bool:
        """Whether this step was previewed and is the best so far; the same on all ranks, which save together."""
        preview = self.preview
        if preview is None or not preview.is_due(trainer.global_step, trainer.max_steps):
            return False
        measured = preview.measured
        psnr = measured[1] if measured is not None and measured[0] == trainer.global_step else float("-inf")
        psnr = trainer.strategy.broadcast(psnr)
        if not psnr > self._best_psnr:  # nor where it is no number
            return False
        self._best_psnr = psnr
        return True

    @staticmethod
    def save(trainer: pl.Trainer, path: Path) -> None:
        """Write a full checkpoint to `path`, atomically. All processes of a run call this, and the first one writes."""
        if is_first():
            write_archive(trainer.save_checkpoint, path)
        else:
            trainer.save_checkpoint(path)  # contributes what only this process has
