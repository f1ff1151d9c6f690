"""Differences between groups of runs and a reference group, frame by frame and seed by seed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from talksplat.compare.columns import Column
from talksplat.compare.data import ComparisonData
from talksplat.compare.load.groups import SeedGroup
from talksplat.compare.load.run import RunResult
from talksplat.compare.tables.significance import LEVEL, Interval, frame_interval, holm, seed_interval


@dataclass(frozen=True)
class Difference:
    """A metric of a group less that of the reference.

    Args:
        frames: number of frames that all runs of both have measured.
        over_frames: mean difference and its interval over frames; its `p` is not corrected for the number of groups.
        per_seed: difference of each seed that both have; where the group is a foreign video, of each seed of the
            reference; empty where they have no seed in common.
        over_seeds: mean of these and its interval; None where there are none.
        corrected: the probability over frames, corrected for the number of groups (Holm); None for too few frames.
    """

    column: Column
    group: str
    reference: str
    frames: int
    over_frames: Interval
    per_seed: tuple[float, ...]
    over_seeds: Interval | None
    corrected: float | None = None

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


def differences(data: ComparisonData) -> list[Difference]:
    """Every other group against the reference, for each metric that has values per frame; metric by metric."""
    found: list[Difference] = []
    for column in tested_columns(data):
        row = [_difference(column, group, data.reference) for group in data.groups if group is not data.reference]
        row = [one for one in row if one is not None]
        corrected = holm([one.over_frames.p for one in row])
        found += [replace(one, corrected=p) for one, p in zip(row, corrected)]
    return found


def tested_columns(data: ComparisonData) -> list[Column]:
    """Metrics with a value for each frame."""
    return [column for column in data.columns.values() if column.metric in data.runs[0].per_frame]


def _difference(column: Column, group: SeedGroup, reference: SeedGroup) -> Difference | None:
    """None where no frame was measured by all."""
    ours, theirs, paired = _pairs(group, reference)
    absent = np.full(len(ours[0].frame_ids), np.nan)
    a, b = (np.stack([run.per_frame.get(column.metric, absent) for run in side]) for side in (ours, theirs))
    measured = np.isfinite(a).all(0) & np.isfinite(b).all(0)
    if not measured.any():
        return None
    a, b = a[:, measured], b[:, measured]
    per_seed = a.mean(1) - b.mean(1) if paired else np.zeros(0)
    over_seeds = seed_interval(per_seed) if paired else None
    over_frames = frame_interval(a.mean(0) - b.mean(0))
    names = (group.name, reference.name)
    return Difference(column, *names, a.shape[1], over_frames, tuple(per_seed.tolist()), over_seeds)


def _pairs(group: SeedGroup, reference: SeedGroup) -> tuple[list[RunResult], list[RunResult], bool]:
    """Runs of both with the same seeds, which are pairs; all runs of both where no seed is the same, which are none. A
    foreign video has no seed: it makes a pair with each run of the other side."""
    ours, theirs = ({run.seed: run for run in one.runs if run.seed is not None} for one in (group, reference))
    common = [seed for seed in ours if seed in theirs]
    if common:
        return [ours[seed] for seed in common], [theirs[seed] for seed in common], True
    if group.runs[0].foreign or reference.runs[0].foreign:
        count = max(len(group.runs), len(reference.runs))
        ours, theirs = (one.runs * (count // len(one.runs)) for one in (group, reference))
        return ours, theirs, True
    return group.runs, reference.runs, False
