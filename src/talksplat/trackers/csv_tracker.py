"""The history of a run in its own folder."""

from __future__ import annotations

import csv
from pathlib import Path

from talksplat.files import replacing, writing
from talksplat.trackers.base import TrackedRun, Tracker

FIELDS = ("step", "name", "value")


class CsvTracker(Tracker):
    """Rows of (step, name, value) in `metrics.csv`; survives a kill, and follows a resumed run."""

    def __init__(self) -> None:
        super().__init__()
        self._last: tuple[int | None, set[str]] = (None, set())

    def open(self, run: TrackedRun) -> None:
        """Drop rows after the step at which the run resumes, since it is about to write them again."""
        self.path = run.folder / "metrics.csv"
        rows = [row for row in read_rows(self.path) if int(row["step"]) <= run.resume_step]
        with replacing(self.path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, FIELDS)
            writer.writeheader()
            writer.writerows(rows)

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Append rows; of a metric logged twice at one step, as `seconds` is, the first counts."""
        step_before, names = self._last
        known = names if step == step_before else set()
        self._last = (step, known | metrics.keys())
        with writing(self.path), open(self.path, "a", newline="") as file:
            rows = ((step, name, f"{float(value):.8g}") for name, value in metrics.items() if name not in known)
            csv.writer(file).writerows(rows)


def read_rows(path: Path) -> list[dict[str, str]]:
    """Rows of a history, none where there is no file."""
    if not path.exists():
        return []
    with open(path, newline="") as file:
        # A kill in the middle of a write leaves a torn last row.
        return [row for row in csv.DictReader(file) if (row["step"] or "").isdigit() and row["value"]]
