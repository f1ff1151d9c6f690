"""The columns of a comparison."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from talksplat.compare.load.groups import SeedGroup
from talksplat.compare.load.run import RunResult
from talksplat.compare.metric_notes import metric_notes

NONE = "n/a"
Estimate = tuple[float, float | None]  # mean and standard deviation over seeds, where there is more than one


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

    @property
    def direction(self) -> str:
        """ "higher is better", "lower is better", or nothing."""
        return {1: "higher is better", -1: "lower is better", 0: ""}[self.better]

    def summary(self, group: SeedGroup) -> Estimate | None:
        """Mean and sample standard deviation over seeds; no deviation for a single run, nothing where a run has no value or
        where times of different machines would be mixed."""
        values = [self.value(run) for run in group.runs]
        if None in values or (self.timed and len({run.hardware for run in group.runs}) > 1):
            return None
        if self.digits is None:  # text of a single run
            return values[0], None
        return fmean(values), stdev(values) if len(values) > 1 else None

    def mean(self, group: SeedGroup) -> float | None:
        """The mean of `summary`."""
        return (self.summary(group) or (None,))[0]

    def text(self, group: SeedGroup) -> str:
        """Like `36.70 ± 0.05`."""
        mean, deviation = self.summary(group) or (None, None)
        return self.format(mean) + ("" if deviation is None else f" ± {self.format(deviation)}")

    def format(self, value: object) -> str:
        """Text of a value."""
        if value is None:
            return NONE
        return str(value) if self.digits is None else f"{value:.{self.digits}f}"

    def reason(self, run: RunResult) -> str:
        """Why a run has no value."""
        if run.foreign and self.metric is None:
            return "a video of another project tells neither how it was trained nor what it costs"
        return f"{self.title}: {run.reason(self.metric)}" if self.metric else "the run did not note it"

    def may_rank(self, runs: Sequence[RunResult]) -> bool:
        """Whether values may be ranked: times only where they are of the same hardware."""
        hardware = {run.hardware for run in runs if self.value(run) is not None}
        return self.better != 0 and not (self.timed and len(hardware) > 1)


def columns_of(runs: Sequence[RunResult]) -> dict[str, Column]:
    """Columns of the comparison of these runs, in their order, by their key."""
    experiment = Column(
        "experiment", lambda run: None if run.experiments is None else " + ".join(run.experiments) or "-"
    )
    # Of training frames: what was learned by heart, and so without a rank.
    optional = [
        Column("composite PSNR, fitted poses", lambda run: _noted(run, "aligned", "psnr_composite"), 2),
        Column("composite PSNR, training frames", lambda run: _noted(run, "train", "mean", "psnr_composite"), 2),
        Column("mouth PSNR, training frames", lambda run: _noted(run, "train", "mean", "psnr_mouth"), 2),
    ]
    columns = [
        Column("run", lambda run: run.name),
        Column("model", lambda run: run.model),
        *([experiment] if any(run.experiments for run in runs) else []),
        Column("stage", lambda run: run.stage),
        Column("seed", lambda run: run.seed, 0, quantity=False),
        *(_metric(note.title, name, note.digits, note.better) for name, note in metric_notes(runs).items()),
        *(column for column in optional if any(column.value(run) is not None for run in runs)),
        Column("Gaussians", lambda run: run.metrics.get("num_gaussians"), 0),
        Column("network parameters", lambda run: _noted(run, "parameters", "networks"), 0),
        Column("parameters", lambda run: _sum(run.metrics.get("parameters")), 0),
        Column("size (MB)", lambda run: _noted(run, "size_bytes", unit=1e6), 2, -1),
        Column("training (s)", lambda run: _sum(run.info.get("timings")), 0, -1, timed=True),
        Column("FPS", lambda run: run.metrics.get("fps"), 1, +1, timed=True),
        Column("hardware", lambda run: run.hardware),
    ]
    return {column.key: column for column in columns}


def _metric(title: str, name: str, digits: int, better: int) -> Column:
    return Column(title, lambda run: run.mean(name), digits, better, metric=name)


def _noted(run: RunResult, *keys: str, unit: float | None = None) -> float | None:
    """An entry of `metrics.json`."""
    value = run.metrics
    for key in keys:
        value = (value or {}).get(key)
    return value / unit if unit and value is not None else value


def _sum(parts: dict[str, float] | None) -> float | None:
    """Sum of what a run noted; None where it noted nothing."""
    return sum(parts.values()) if parts else None
