"""Means and standard deviations over seeds."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from statistics import fmean, stdev

from talksplat.compare.columns import Column, columns_of, may_rank
from talksplat.compare.groups import SeedGroup
from talksplat.compare.marks import RULE, Mark, marks
from talksplat.compare.ranking import add_ranks
from talksplat.compare.run_result import RunResult
from talksplat.compare.table import Cell, ComparisonTable

MAX_NAMED = 12  # runs in a remark


def seeds_of(group: SeedGroup) -> str:
    """Number and list of a group's seeds; a foreign video has none."""
    if group.runs[0].foreign:
        return "-"
    return f"{len(group.runs)} ({', '.join(str(run.seed) for run in group.runs)})"


def has_repeats(groups: Sequence[SeedGroup]) -> bool:
    """Whether there is a deviation to speak of."""
    return any(len({run.seed for run in group.runs}) > 1 for group in groups)


def summary(column: Column, group: SeedGroup) -> tuple[float, float | None] | None:
    """Mean and sample standard deviation of a column; no deviation for a single run, nothing where a run has no value
    or where times of different machines would be mixed."""
    values = [column.value(run) for run in group.runs]
    if None in values or (column.timed and len({run.hardware for run in group.runs}) > 1):
        return None
    return fmean(values), stdev(values) if len(values) > 1 else None


def summary_text(column: Column, found: tuple[float, float | None] | None) -> str:
    """Like `36.70 ± 0.05`."""
    if found is None or found[1] is None:
        return column.format(None if found is None else found[0])
    return f"{column.format(found[0])} ± {column.format(found[1])}"


def build_seed_table(groups: Sequence[SeedGroup]) -> ComparisonTable:
    """A row for each group: means and deviations, their marks, and the mean of the ranks over the metrics."""
    runs = [run for group in groups for run in group.runs]
    repeated = [run.name for group in groups for run in group.repeated]
    table = ComparisonTable(["group", "seeds"], [[Cell(group.name), Cell(seeds_of(group))] for group in groups])
    if repeated:
        table.remarks.append(f"left out, as they repeat settings and seed of another run: {some_of(repeated)}")
    for column in _quantities(runs):
        if all(column.value(run) is None for run in runs):
            reasons = dict.fromkeys(column.reason(run).removeprefix(f"{column.title}: ") for run in runs)
            table.remarks.append(f"{column.title} is left out: {'; '.join(list(reasons)[:MAX_NAMED])}")
            continue
        table.titles.append(column.title)
        found = [summary(column, group) for group in groups]
        texts = [summary_text(column, one) for one in found]
        for row, group, one, text, mark in zip(table.rows, groups, found, texts, _marks(column, found, runs)):
            row.append(Cell(text, mark, None if one is not None else table.note(_reason(column, group))))
    add_ranks(table, _quantities(runs), lambda column: [(summary(column, group) or (None,))[0] for group in groups])
    if len(groups) > 1:
        table.remarks.append(RULE)
    return table


def some_of(names: Sequence[str]) -> str:
    """Names with commas; of many the first ones and how many more."""
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more


def _marks(column: Column, found: Sequence[tuple[float, float | None] | None], runs: Sequence[RunResult]) -> list[Mark]:
    if not may_rank(column, runs):
        return [None] * len(found)
    means = [None if one is None else one[0] for one in found]
    spreads = [None if one is None else one[1] for one in found]
    return marks(means, [column.format(mean) for mean in means], column.better, spreads)


def seeds_csv(groups: Sequence[SeedGroup]) -> str:
    """Means and deviations at full precision; empty where there are none."""
    columns = _quantities([run for group in groups for run in group.runs])
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    titles = [f"{column.key}_{part}" for column in columns for part in ("mean", "std")]
    writer.writerow(["group", "runs", "seeds", *titles])
    for group in groups:
        found = [summary(column, group) or (None, None) for column in columns]
        seeds = " ".join(str(run.seed) for run in group.runs)
        writer.writerow([group.name, len(group.runs), seeds, *(value for pair in found for value in pair)])
    return stream.getvalue()


def _quantities(runs: Sequence[RunResult]) -> list[Column]:
    return [column for column in columns_of(runs) if column.digits is not None and column.quantity]


def _reason(column: Column, group: SeedGroup) -> str:
    absent = [run for run in group.runs if column.value(run) is None]
    if not absent:
        return f"{column.title}: the group's runs had different hardware"
    return f"{column.reason(absent[0])} ({absent[0].name})"
