"""Differences between groups of runs and a reference group, frame by frame and seed by seed: in words, as a table and as CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from talksplat.compare.columns import NONE, Column
from talksplat.compare.data import ComparisonData
from talksplat.compare.document import Cell, Section, Table
from talksplat.compare.load.groups import SeedGroup
from talksplat.compare.load.run import RunResult
from talksplat.compare.tables.results import csv_text
from talksplat.compare.tables.significance import LEVEL, Interval, frame_interval, holm, seed_interval

MAX_GROUPS = 24  # more are for the CSV file
VERDICTS = {  # sign in the table, and words
    "better": ("+", "better on these frames by more than chance over frames"),
    "worse": ("−", "worse on these frames by more than chance over frames"),
    "equal": ("", "no difference can be told on these frames"),
    "unknown": ("?", "too few frames to tell a difference from chance"),
}
METHOD = [
    "A difference is the mean over frames of group less reference, each averaged over the seeds that both have. In brackets "
    "its 95 % interval over frames, by a block bootstrap, as neighbouring frames of a video are not independent: blocks are "
    "as long as the differences' autocorrelation asks for, with Student's quantiles for their number (differences.csv has the "
    "lengths). With fewer than three blocks nothing is claimed (?).",
    "+ and − mark what is better and worse by more than chance over frames at 5 %, corrected for the number of groups within "
    "a metric (Holm). It is not corrected for the number of metrics. Intervals are not corrected.",
    "That speaks of these trained networks on clips like this one. Of the method, with other seeds, only the seeds speak: "
    "how many agree in sign, and whether the mean over them stands out from their spread (paired t test at 5 %, not "
    "corrected; with two or three seeds it finds only large differences).",
]


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
    others = [group for group in data.groups if group is not data.reference]
    for column in tested_columns(data):
        row = [one for group in others if (one := _difference(column, group, data.reference)) is not None]
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


def difference_section(data: ComparisonData, found: Sequence[Difference]) -> Section:
    """The differences as a table and in words, and how they were found."""
    groups: dict[str, list[Difference]] = {}
    for one in found:
        groups.setdefault(one.group, []).append(one)
    parts: list = [f"{len(groups)} groups are too many for this page: see differences.csv."]
    if len(groups) <= MAX_GROUPS:
        titles = list(dict.fromkeys(one.column.title for one in found))
        rows = [_row(mine, titles) for mine in groups.values()]
        parts = [Table(["group", "frames", "seeds compared", *titles], rows), [_statement(m) for m in groups.values()]]
    parts += METHOD
    tested = tested_columns(data)
    untested = [column.title for column in data.metrics if column not in tested]
    if untested:
        parts.append(f"Not tested, as they have no value for each frame: {', '.join(untested)}.")
    return Section(f"Differences from {data.reference.name}", parts)


def differences_csv(found: Sequence[Difference]) -> str:
    """All differences at full precision, a row for each group and metric."""
    titles = "group reference metric better frames block difference low high p p_holm seeds agreeing seed_mean seed_low"
    rows = []
    for one in found:
        frames, seeds = one.over_frames, one.over_seeds
        better = "more" if one.column.better > 0 else "less"
        row = [one.group, one.reference, one.column.key, better, one.frames, frames.block, frames.mean, frames.low]
        row += [frames.high, frames.p, one.corrected, len(one.per_seed), one.agreeing]
        row += [None] * 4 if seeds is None else [seeds.mean, seeds.low, seeds.high, seeds.p]
        rows.append([*row, f"{VERDICTS[one.verdict][1]}; {_seed_words(one)}"])
    return csv_text([*titles.split(), "seed_high", "seed_p", "verdict"], rows)


def _row(mine: Sequence[Difference], titles: Sequence[str]) -> list[Cell]:
    least, most = min(one.frames for one in mine), max(one.frames for one in mine)
    frames = str(least) if least == most else f"{least} to {most}"
    texts = dict.fromkeys(titles, NONE)
    for one in mine:
        texts[one.column.title] = _signed(one, one.over_frames.mean)
        if one.over_frames.low is not None:
            low, high = _signed(one, one.over_frames.low), _signed(one, one.over_frames.high)
            texts[one.column.title] += f" [{low}, {high}]"
        texts[one.column.title] += f" {VERDICTS[one.verdict][0]}".rstrip()
    seeds = str(len(mine[0].per_seed) or "none")
    return [Cell(text) for text in (mine[0].group, frames, seeds, *texts.values())]


def _statement(mine: Sequence[Difference]) -> str:
    frames = f"{min(one.frames for one in mine)}" + ("" if len({one.frames for one in mine}) == 1 else " or more")
    sentences = []
    for verdict, (_, words) in VERDICTS.items():
        listed = []
        for one in (one for one in mine if one.verdict == verdict):
            agreement = f" ({one.agreeing} of {len(one.per_seed)} seeds)" if len(one.per_seed) > 1 else ""
            listed.append(f"{one.column.title} {_signed(one, one.over_frames.mean)}{agreement}")
        if listed:
            sentences.append(f"{words.replace('these', f'these {frames}')}: {', '.join(listed)}")
    return f"{mine[0].group} against {mine[0].reference}: {'; '.join(sentences)}. {_conclusion(mine)}"


def _conclusion(mine: Sequence[Difference]) -> str:
    if not mine[0].per_seed:
        return "They have no seed in common: what other seeds would give cannot be told from pairs."
    if len(mine[0].per_seed) == 1:
        return "One seed: nothing is known about other seeds."
    firm = [one.column.title for one in mine if one.beyond_seeds and one.verdict in ("better", "worse")]
    if firm:
        return f"Larger than chance over seeds as well: {', '.join(firm)}."
    return f"None of it is larger than chance over {len(mine[0].per_seed)} seeds as well."


def _seed_words(one: Difference) -> str:
    count = len(one.per_seed)
    if count < 2:
        return "one seed: nothing is known about other seeds" if count else "no seed in common"
    inside = "larger than chance over seeds" if one.beyond_seeds else "no larger than chance over seeds"
    return f"{one.agreeing} of {count} seeds agree in sign, {inside}"


def _signed(one: Difference, value: float) -> str:
    return f"{value:+.{one.column.digits}f}".replace("-", "−")
