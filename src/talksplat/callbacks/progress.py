"""One progress line over all stages: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import time
from typing import Any

import pytorch_lightning as pl
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

logger = logging.getLogger(__name__)
PLAIN_SECONDS = 15.0  # between lines where there is no terminal
REFRESH_SECONDS = 0.25


class StageProgress(pl.Callback):
    """Shows stage, step, loss, PSNR, Gaussians, speed and the time left in this stage.

    Args:
        label: e.g. "stage 1/2 coarse".
    """

    def __init__(self, label: str) -> None:
        self.label = label
        self._bar: Progress | None = None
        self._started = self._shown = 0.0
        self._first_step = 0

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._started = self._shown = time.perf_counter()
        self._first_step = trainer.global_step
        console = Console()
        if console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[state]}"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                console=console,
            )
            self._bar.start()
            self._task = self._bar.add_task(
                self.label, total=trainer.max_steps, completed=trainer.global_step, state="compiling"
            )

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        now = time.perf_counter()
        last = trainer.global_step == trainer.max_steps
        if not last and now - self._shown < (REFRESH_SECONDS if self._bar else PLAIN_SECONDS):
            return
        self._shown = now
        speed = (trainer.global_step - self._first_step) / (now - self._started)
        state = (
            f"loss {float(outputs['loss']):.4f} psnr {float(outputs['psnr']):.2f} "
            f"{module.model.gaussians.num_gaussians:,} Gaussians {speed * module.images_per_step:.1f} images/s"
        )
        if self._bar:
            self._bar.update(self._task, completed=trainer.global_step, state=state)
        else:
            left = (trainer.max_steps - trainer.global_step) / speed
            logger.info(
                "%s  step %d/%d  %s  left %d:%02d",
                self.label,
                trainer.global_step,
                trainer.max_steps,
                state,
                *divmod(left, 60),
            )

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._stop()

    def on_exception(self, trainer: pl.Trainer, module: pl.LightningModule, exception: BaseException) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._bar:
            self._bar.stop()
            self._bar = None
