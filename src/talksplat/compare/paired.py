"""Differences between groups of runs and a reference group, frame by frame and seed by seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from talksplat.compare.columns import Column, columns_of
from talksplat.compare.groups import SeedGroup
from talksplat.compare.run_result import RunResult
from talksplat.compare.significance import LEVEL, Interval, frame_interval, holm, seed_interval
from talksplat.errors import UserError


@dataclass(frozen=True)
class Difference:
    """A metric of a group less that of the reference.

    Args:
        frames: number of frames that all runs of both have measured.
        over_frames: mean difference and its interval over frames; its `p` is not corrected for the number of groups.
        corrected: that probability, corrected for the number of groups (Holm); None where too few frames are there.
        per_seed: difference of each seed that both have; where the group is a foreign video, of each seed of the
            reference; empty where they have no seed in common.
        over_seeds: mean of these and its interval; None where there are none.
    """

    column: Column
    group: str
    reference: str
    frames: int
    over_frames: Interval
    corrected: float | None
    per_seed: tuple[float, ...]
    over_seeds: Interval | None

    @property
    def gain(self) -> float:
        """The difference, positive where the group is better."""
        return self.over_frames.mean * self.column.better

    @property
    def verdict(self) -> str:
        """ "better", "worse", "equal" (nothing can be told) or "unknown" (too few frames)."""
        if self.corrected is None:
            return "unknown"
        if self.corrected >= LEVEL:
            return "equal"
        return "better" if self.gain > 0 else "worse"

    @property
    def agreeing(self) -> int:
        """Seeds whose difference has the sign of the mean difference."""
        return sum(value * self.over_frames.mean > 0 for value in self.per_seed)

    @property
    def beyond_seeds(self) -> bool | None:
        """Whether the difference is larger than chance over seeds; None for fewer than two."""
        found = self.over_seeds
        return None if found is None or found.p is None else found.p < LEVEL


def choose_reference(groups: Sequence[SeedGroup], name: str | None) -> SeedGroup:
    """The group of that name, or that holds the run of that name; by default the whole model of an ablation (an experiment
    `.../full`), else the first.

    Raises:
        UserError: there is no such group; the groups are named.
    """
    if name is None:
        whole = [group for group in groups if (group.runs[0].experiments or [""])[-1].endswith("/full")]
        return (whole or list(groups))[0]
    for group in groups:
        if name == group.name or name in [run.name for run in (*group.runs, *group.repeated)]:
            return group
    names = ", ".join(repr(group.name) for group in groups)
    raise UserError(f"reference={name}: there is no group or run of that name; the groups are {names}")


def differences(groups: Sequence[SeedGroup], reference: SeedGroup) -> list[Difference]:
    """Every other group against the reference, for each metric that has values per frame; metric by metric."""
    runs = [run for group in groups for run in group.runs]
    values: dict[tuple[int, str], np.ndarray] = {}

    def of(run: RunResult, metric: str) -> np.ndarray:
        key = (id(run), metric)
        if key not in values:
            values[key] = np.array([frame.get(metric) for frame in run.metrics["frames"]], dtype=float)
        return values[key]

    found: list[Difference] = []
    for column in tested_columns(runs):
        row = []
        for group in groups:
            if group is not reference:
                ours, theirs, paired = _pairs(group, reference)
                sides = ([of(run, column.metric) for run in side] for side in (ours, theirs))
                one = _difference(column, (group.name, reference.name), *sides, paired)
                row += [] if one is None else [one]
        corrected = holm([one.over_frames.p for one in row])
        found += [replace(one, corrected=p) for one, p in zip(row, corrected)]
    return found


def tested_columns(runs: Sequence[RunResult]) -> list[Column]:
    """Metrics with a value for each frame."""
    return [
        column for column in _metrics(runs) if any(column.metric in frame for frame in runs[0].metrics["frames"][:1])
    ]


def untested_titles(runs: Sequence[RunResult]) -> list[str]:
    """Metrics that some run has, but not frame by frame."""
    tested = {column.metric for column in tested_columns(runs)}
    return [c.title for c in _metrics(runs) if c.metric not in tested and any(c.value(run) is not None for run in runs)]


def _metrics(runs: Sequence[RunResult]) -> list[Column]:
    return [column for column in columns_of(runs) if column.metric and column.better]


def _pairs(group: SeedGroup, reference: SeedGroup) -> tuple[list[RunResult], list[RunResult], bool]:
    """Runs of both with the same seeds, which are pairs; all runs of both where no seed is the same, which are none. A
    foreign video has no seed: it makes a pair with each run of the other side."""
    ours, theirs = ({run.seed: run for run in one.runs if run.seed is not None} for one in (group, reference))
    common = [seed for seed in ours if seed in theirs]
    if common:
        return [ours[seed] for seed in common], [theirs[seed] for seed in common], True
    if group.runs[0].foreign:
        return [group.runs[0]] * len(reference.runs), list(reference.runs), True
    if reference.runs[0].foreign:
        return list(group.runs), [reference.runs[0]] * len(group.runs), True
    return list(group.runs), list(reference.runs), False


def _difference(
    column: Column, names: tuple[str, str], ours: list[np.ndarray], theirs: list[np.ndarray], paired: bool
) -> Difference | None:
    a, b = np.stack(ours), np.stack(theirs)
    measured = np.isfinite(a).all(0) & np.isfinite(b).all(0)
    if not measured.any():
        return None
    a, b = a[:, measured], b[:, measured]
    per_seed = a.mean(1) - b.mean(1) if paired else np.zeros(0)
    over_seeds = seed_interval(per_seed) if paired else None
    series = a.mean(0) - b.mean(0)
    return Difference(column, *names, len(series), frame_interval(series), None, tuple(per_seed.tolist()), over_seeds)
