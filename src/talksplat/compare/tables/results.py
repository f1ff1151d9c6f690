"""Tables of results: a row for each run, or for each group of seeds."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from talksplat.compare.columns import Column
from talksplat.compare.data import ComparisonData
from talksplat.compare.document import Cell, Mark, Section, Table, some_of
from talksplat.compare.load.groups import SeedGroup

MAX_RUNS = 12  # more are for the CSV file: nobody reads a table of 200 lines
MAX_REASONS = 12  # in a remark
RANK = "average rank"
RULE = (
    "bold: the best mean, and every mean that is no farther from it than one standard deviation of the difference between "
    "two runs with different seeds (the root of the sum of both groups' squared deviations; a group of one seed counts as "
    "without any); underlined: the next best"
)


def result_sections(data: ComparisonData) -> list[Section]:
    """The tables that this number of runs and seeds asks for."""
    sections = []
    if data.has_repeats or len(data.runs) > MAX_RUNS:
        title = "Over seeds (mean ± standard deviation)" if data.has_repeats else "Groups"
        sections.append(Section(title, [seed_table(data)]))
    if len(data.runs) <= MAX_RUNS:
        sections.append(Section("Runs", [run_table(data, ranked=not data.has_repeats)]))
    return sections


def run_table(data: ComparisonData, ranked: bool = False) -> Table:
    """A row for each run, in their order. `ranked` adds the mean rank over the metrics."""
    table = Table([], [[] for _ in data.runs])
    rows = [SeedGroup(run.name, [run]) for run in data.runs]
    for column in data.columns.values():
        _add_column(table, column, rows)
    if ranked:
        _add_ranks(table, list(data.columns.values()), rows)
    return table


def seed_table(data: ComparisonData) -> Table:
    """A row for each group: means and deviations, their marks, and the mean of the ranks over the metrics."""
    groups = data.groups
    table = Table(["group", "seeds"], [[Cell(group.name), Cell(group.seeds)] for group in groups])
    repeated = [run.name for group in groups for run in group.repeated]
    if repeated:
        table.remarks.append(f"left out, as they repeat settings and seed of another run: {some_of(repeated)}")
    for column in _quantities(data):
        if any(column.value(run) is not None for run in data.grouped):
            _add_column(table, column, groups)
        else:
            reasons = dict.fromkeys(column.reason(run).removeprefix(f"{column.title}: ") for run in data.grouped)
            table.remarks.append(f"{column.title} is left out: {'; '.join(list(reasons)[:MAX_REASONS])}")
    _add_ranks(table, _quantities(data), groups)
    if len(groups) > 1:
        table.remarks.append(RULE)
    return table


def csv_text(titles: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    """CSV: numbers at full precision, empty where there is None."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([titles, *rows])
    return stream.getvalue()


def runs_csv(data: ComparisonData) -> str:
    """All values, and where each run comes from."""
    columns = data.columns.values()
    origins = ([run.commit, run.info.get("command"), str(run.path)] for run in data.runs)
    rows = ([*(column.value(run) for column in columns), *origin] for run, origin in zip(data.runs, origins))
    return csv_text([*(column.key for column in columns), "commit", "command", "path"], rows)


def seeds_csv(data: ComparisonData) -> str:
    """Means and deviations."""
    columns = _quantities(data)
    rows = []
    for group in data.groups:
        found = [value for column in columns for value in column.summary(group) or (None, None)]
        rows.append([group.name, len(group.runs), " ".join(str(run.seed) for run in group.runs), *found])
    titles = [f"{column.key}_{part}" for column in columns for part in ("mean", "std")]
    return csv_text(["group", "runs", "seeds", *titles], rows)


def _quantities(data: ComparisonData) -> list[Column]:
    return [column for column in data.columns.values() if column.digits is not None and column.quantity]


def _add_column(table: Table, column: Column, groups: Sequence[SeedGroup]) -> None:
    table.titles.append(column.title)
    for row, group, mark in zip(table.rows, groups, _marks(column, groups)):
        absent = column.summary(group) is None
        row.append(Cell(column.text(group), mark, table.note(_reason(column, group)) if absent else None))


def _marks(column: Column, groups: Sequence[SeedGroup]) -> Sequence[Mark]:
    if not column.may_rank([run for group in groups for run in group.runs]):
        return [None] * len(groups)
    means, deviations = zip(*(column.summary(group) or (None, None) for group in groups))
    return marks(means, [column.format(mean) for mean in means], column.better, deviations)


def _reason(column: Column, group: SeedGroup) -> str:
    absent = next((run for run in group.runs if column.value(run) is None), None)
    if absent is None:
        return f"{column.title}: the group's runs had different hardware"
    return column.reason(absent) + (f" ({absent.name})" if absent.name != group.name else "")


def _add_ranks(table: Table, columns: Sequence[Column], groups: Sequence[SeedGroup]) -> None:
    """Append each row's mean rank over the metrics that every row has; values that are printed alike share a rank."""
    ranked = {}
    for column in columns:
        means = [column.mean(group) for group in groups] if column.metric else [None]
        if None not in means:
            ranked[column.title] = ranks([round(mean, column.digits) for mean in means], column.better)
    if not ranked or len(groups) < 2:
        return
    means = [sum(places) / len(ranked) for places in zip(*ranked.values())]
    texts = [f"{mean:.2f}" for mean in means]
    table.titles.append(RANK)
    for row, text, mark in zip(table.rows, texts, marks(means, texts, -1)):
        row.append(Cell(text, mark))
    table.remarks.append(
        f"{RANK}: mean of the ranks (1: best) in {', '.join(ranked)}, each counted once, so that what is measured in several "
        "ways weighs more; it knows nothing of spread"
    )


def marks(
    values: Sequence[float | None], texts: Sequence[str], better: int, spreads: Sequence[float | None] = ()
) -> list[Mark]:
    """Marks of a column of means, of which None is not ranked; `better` is +1 where more is better, -1 where less is, and 0
    marks nothing. What is printed alike, and what differs by less than its standard deviations, shares a mark."""
    spread = [deviation or 0 for deviation in spreads] or [0] * len(values)
    found: list[Mark] = [None] * len(values)
    left = sorted((i for i, value in enumerate(values) if value is not None), key=lambda i: -better * values[i])

    def alike(i: int, first: int) -> bool:
        near = abs(values[i] - values[first]) <= (spread[first] ** 2 + spread[i] ** 2) ** 0.5
        return near or texts[i] == texts[first]

    # Of two values the other needs no mark, and a single one is no best.
    for mark in ("best", "second")[: len(values) - 1] if better else ():
        for i in [i for i in left if alike(i, left[0])]:
            found[i] = mark
        left = [i for i in left if found[i] is None]
    return found


def ranks(values: Sequence[float], better: int) -> list[float]:
    """Ranks from 1 (best); equal values share the mean of their places."""
    ordered = sorted(values, key=lambda value: -better * value)
    return [ordered.index(value) + (ordered.count(value) + 1) / 2 for value in values]
