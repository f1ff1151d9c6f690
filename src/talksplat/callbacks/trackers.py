"""Experiment trackers behind Lightning's logger interface."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any, Literal

from pytorch_lightning.loggers import Logger

from talksplat.errors import UserError


class CsvTracker(Logger):
    """Rows of (step, name, value) in `metrics.csv`; survives a kill and goes on where a resumed run goes on.

    Args:
        save_dir: the run folder.
        resume_step: rows after this step are dropped, since the run is about to write them again.
    """

    FIELDS = ("step", "name", "value")

    def __init__(self, save_dir: str, resume_step: int = 0) -> None:
        super().__init__()
        self.path = Path(save_dir) / "metrics.csv"
        rows = [row for row in self._read() if int(row["step"]) <= resume_step]
        temporary = self.path.with_name(".metrics.csv.tmp")
        with open(temporary, "w", newline="") as file:
            writer = csv.DictWriter(file, self.FIELDS)
            writer.writeheader()
            writer.writerows(rows)
        os.replace(temporary, self.path)

    def _read(self) -> list[dict[str, str]]:
        if not self.path.exists():
            return []
        with open(self.path, newline="") as file:
            # A kill in the middle of a write leaves a torn last row.
            return [row for row in csv.DictReader(file) if (row["step"] or "").isdigit() and row["value"]]

    @property
    def name(self) -> str:
        return "csv"

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """The run folder's config.yaml already has them."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        with open(self.path, "a", newline="") as file:
            csv.writer(file).writerows((step, name, f"{float(value):.8g}") for name, value in metrics.items())


def no_tracker(save_dir: str, resume_step: int = 0) -> None:
    """Track nothing."""


def wandb_tracker(
    save_dir: str,
    resume_step: int = 0,
    project: str = "talksplat",
    offline: bool = False,
    name: str | None = None,
    group: str | None = None,
) -> Logger:
    """Weights & Biases; a run folder keeps its run id, so a resumed run continues the same curve."""
    from pytorch_lightning.loggers import WandbLogger

    id_file = Path(save_dir) / "wandb_id.txt"
    run_id = id_file.read_text().strip() if id_file.exists() else os.urandom(4).hex()
    id_file.write_text(run_id)
    return WandbLogger(
        name=name or Path(save_dir).name,
        save_dir=save_dir,
        project=project,
        group=group,
        offline=offline,
        id=run_id,
        resume="allow",
    )


def tensorboard_tracker(save_dir: str, resume_step: int = 0) -> Logger:
    """TensorBoard event files in the run folder.

    Raises:
        UserError: tensorboard is not installed.
    """
    from pytorch_lightning.loggers import TensorBoardLogger

    try:
        return TensorBoardLogger(save_dir, name="tensorboard", version="", purge_step=resume_step + 1)
    except ModuleNotFoundError as error:
        raise UserError(
            "tracker=tensorboard needs the package tensorboard: pip install 'talksplat[tensorboard]'"
        ) from error


def finish_tracker(tracker: Logger | Literal[False] | None, succeeded: bool) -> None:
    """End a run's tracking, so that the next job of a sweep in this process begins a run of its own."""
    from pytorch_lightning.loggers import WandbLogger

    if isinstance(tracker, WandbLogger):
        tracker.experiment.finish(exit_code=0 if succeeded else 1)
