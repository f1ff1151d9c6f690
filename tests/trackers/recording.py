"""A tracker that remembers what it is told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from talksplat.trackers.base import Outcome, TrackedRun, Tracker


class RecordingTracker(Tracker):
    """Keeps everything in lists."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[int, dict[str, float]]] = []
        self.pictures: list[tuple[str, int]] = []
        self.outcome: Outcome | None = None

    def open(self, run: TrackedRun) -> None:
        self.run = run

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        self.rows.append((step, dict(metrics)))

    def log_picture(self, name: str, path: Path, step: int) -> None:
        self.pictures.append((name, step))

    def finish(self, outcome: Outcome) -> None:
        self.outcome = outcome
