"""The columns of a comparison."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from talksplat.compare.metric_notes import metric_notes
from talksplat.compare.run_result import RunResult

NONE = "n/a"


@dataclass(frozen=True)
class Column:
    """One column. `better` is +1 where more is better, -1 where less is, 0 where neither."""

    title: str
    value: Callable[[RunResult], object]
    digits: int | None = None  # of a quantity; None: text
    better: int = 0
    metric: str | None = None  # name in metrics.json
    timed: bool = False  # depends on the machine
    quantity: bool = True  # a mean over seeds has a meaning

    @property
    def key(self) -> str:
        """Name in CSV files."""
        return self.metric or self.title.split(" (")[0]

    def reason(self, run: RunResult) -> str:
        """Why a run has no value."""
        if run.foreign and self.metric is None:
            return "a video of another project tells neither how it was trained nor what it costs"
        return f"{self.title}: {run.reason(self.metric)}" if self.metric else "the run did not note it"

    def format(self, value: object) -> str:
        """Text of a value."""
        if value is None:
            return NONE
        return str(value) if self.digits is None else f"{value:.{self.digits}f}"


def columns_of(runs: Sequence[RunResult]) -> list[Column]:
    """Columns of the comparison of these runs."""
    experiment = Column(
        "experiment", lambda run: None if run.experiments is None else " + ".join(run.experiments) or "-"
    )
    fitted = Column("composite PSNR, fitted poses", lambda run: run.metrics.get("aligned", {}).get("psnr_composite"), 2)
    training = [_of_training(title, name) for title, name in (("composite", "psnr_composite"), ("mouth", "psnr_mouth"))]
    return [
        Column("run", lambda run: run.name),
        Column("model", lambda run: run.model),
        *([experiment] if any(run.experiments for run in runs) else []),
        Column("stage", lambda run: run.stage),
        Column("seed", lambda run: run.seed, 0, quantity=False),
        *(_metric(note.title, name, note.digits, note.better) for name, note in metric_notes(runs).items()),
        *(column for column in (fitted, *training) if any(column.value(run) is not None for run in runs)),
        Column("Gaussians", lambda run: run.metrics.get("num_gaussians"), 0),
        Column("network parameters", lambda run: (run.metrics.get("parameters") or {}).get("networks"), 0),
        Column("parameters", lambda run: run.parameters, 0),
        Column("size (MB)", lambda run: run.megabytes, 2, -1),
        Column("training (s)", lambda run: run.training_seconds, 0, -1, timed=True),
        Column("FPS", lambda run: run.metrics.get("fps"), 1, +1, timed=True),
        Column("hardware", lambda run: run.hardware),
    ]


def may_rank(column: Column, runs: Sequence[RunResult]) -> bool:
    """Whether a column's values may be ranked: times only where they are of the same hardware."""
    hardware = {run.hardware for run in runs if column.value(run) is not None}
    return column.better != 0 and not (column.timed and len(hardware) > 1)


def _metric(title: str, name: str, digits: int, better: int) -> Column:
    return Column(title, lambda run: run.mean(name), digits, better, metric=name)


def _of_training(title: str, name: str) -> Column:
    """A metric of the training frames that are measured beside the held-out ones: what was learned by heart, not a rank."""

    def value(run: RunResult) -> float | None:
        return ((run.metrics.get("train") or {}).get("mean") or {}).get(name)

    return Column(f"{title} PSNR, training frames", value, 2)
