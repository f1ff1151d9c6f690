"""TensorBoard event files in the run folder."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import yaml

from talksplat.errors import UserError
from talksplat.trackers.base import Outcome, TrackedRun, Tracker, flat_results, not_measured


class TensorBoardTracker(Tracker):
    """Scalars, pictures and settings in `RUN/tensorboard`, over the steps of the whole run."""

    def __init__(self) -> None:
        super().__init__()
        self._writer: Any = None

    def check(self) -> None:
        if find_spec("tensorboard") is None:
            raise UserError("tracker=tensorboard needs the package tensorboard: pip install 'talksplat[tensorboard]'")

    def open(self, run: TrackedRun) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # TensorBoard hides what an interrupted run wrote from that step on, since it is written again.
        self._writer = SummaryWriter(str(run.folder / "tensorboard"), purge_step=run.resume_step + 1)
        if run.resume_step == 0:
            self._writer.add_text("config", _as_code(run.config))
            self._writer.add_text("origin", _as_code(run.origin))

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        for name, value in metrics.items():
            self._writer.add_scalar(name, float(value), step)

    def log_picture(self, name: str, path: Path, step: int) -> None:
        self._writer.add_image(name, cv2.imread(str(path))[..., ::-1], step, dataformats="HWC")

    def log_results(self, metrics: Mapping[str, Any], test_dir: Path, step: int) -> None:
        self.log_metrics(flat_results(metrics), step)
        self.log_picture("test/grid", test_dir / "grid.png", step)
        reasons = not_measured(metrics)
        if reasons:
            self._writer.add_text("not measured", _as_code(reasons), step)

    def finalize(self, status: str) -> None:
        """A stage has ended; another one or `finish` follows."""
        self._writer.flush()

    def finish(self, outcome: Outcome) -> None:
        self._writer.close()


def _as_code(value: Mapping[str, Any]) -> str:
    text = yaml.safe_dump(dict(value), sort_keys=False)
    return "\n".join(f"    {line}" for line in text.splitlines())  # Markdown
