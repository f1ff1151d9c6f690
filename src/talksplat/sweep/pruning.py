"""Pruning: a search gives up on a run that has fallen behind others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytorch_lightning as pl
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from talksplat.callbacks.preview import Preview
from talksplat.errors import Pruned

STUDY = "search"


def open_storage(path: Path) -> JournalStorage:
    """The file of a study: processes on several machines append to it."""
    return JournalStorage(JournalFileBackend(str(path)))


class Pruning(pl.Callback):
    """Reports the composite PSNR of each preview to the study, and stops the run when its pruner decides so.

    Args:
        study: file of the study.
        trial_id: the run's number in it.
        pruner: settings of the pruner, a node with `_target_`: a study's file does not keep it.
    """

    def __init__(self, study: str, trial_id: int, pruner: dict[str, Any]) -> None:
        from talksplat.config import instantiate

        storage = open_storage(Path(study))
        self.trial = optuna.trial.Trial(
            optuna.load_study(study_name=STUDY, storage=storage, pruner=instantiate(pruner)), trial_id
        )
        maximize = self.trial.study.direction == optuna.study.StudyDirection.MAXIMIZE
        self.sign = 1.0 if maximize else -1.0
        self._reported: int | None = None

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        preview = next(callback for callback in trainer.callbacks if isinstance(callback, Preview))
        if preview.measured is None:
            return
        step, psnr = preview.offset.steps + preview.measured[0], preview.measured[1]
        if step == self._reported:
            return
        self._reported = step
        self.trial.report(self.sign * psnr, step)
        if self.trial.should_prune():
            raise Pruned(f"given up at step {step}: {psnr:.2f} dB on held-out frames, others were better by then")
