"""Looks at frames that are not trained on while a stage trains."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from talksplat.callbacks.history import RunOffset, log_metrics
from talksplat.data.datamodule import PortraitDataModule
from talksplat.metrics.image import psnr
from talksplat.metrics.picture import comparison_grid, save_picture

logger = logging.getLogger(__name__)


class Preview(pl.Callback):
    """Renders a few frames of the split that chooses (`Subject.choosing`: validation frames, or test frames where there are
    none) every so many steps: a picture in the stage folder and for the trackers, with PSNR.

    Args:
        data: where the frames come from.
        folder: the stage's folder.
        every: steps between previews; None: only at the end of the stage.
        offset: of this stage in the run.
        num_frames: frames to show, spread over the split.
    """

    def __init__(
        self, data: PortraitDataModule, folder: Path, every: int | None, offset: RunOffset, num_frames: int = 4
    ) -> None:
        self.data = data
        self.folder = folder
        self.every = every
        self.offset = offset
        self.num_frames = num_frames
        self.measured: tuple[int, float] | None = None  # step and composite PSNR (dB) of the newest preview

    def is_due(self, step: int, last: int) -> bool:
        """Whether held-out frames are previewed after this step of a stage of `last` steps."""
        return step == last or (self.every is not None and step % self.every == 0)

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        if self.is_due(trainer.global_step, trainer.max_steps):
            self.show(trainer, module)

    @torch.no_grad()
    def show(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Render, save and log."""
        positions = self.data.subject.choosing
        spread = torch.linspace(0, len(positions) - 1, self.num_frames).long().unique()
        batch = self.data.batch(torch.as_tensor(positions)[spread], module.device)
        module.model.eval()
        image = module.render(batch).image.clamp(0, 1)
        module.model.train()
        value = float(psnr(image, batch.target).mean())
        step = trainer.global_step
        self.measured = (step, value)
        picture = comparison_grid(batch.original.cpu(), image.cpu(), batch.frame_ids.tolist())
        previews = self.folder / "previews"
        previews.mkdir(exist_ok=True)
        path = previews / f"step_{step:06d}.png"
        save_picture(path, picture)
        log_metrics(trainer, module, {"val_psnr_composite": value}, self.offset)
        for tracker in trainer.loggers:
            tracker.log_picture(f"{module.stage_name}/preview", path, self.offset.steps + step)
        logger.debug("%s step %d: held-out composite PSNR %.2f dB", module.stage_name, step, value)
