"""A published table beside the groups of runs that belong to its rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from talksplat.compare.columns import Column, columns_of
from talksplat.compare.groups import SeedGroup
from talksplat.compare.published_rows import PublishedTable
from talksplat.compare.run_result import RunResult
from talksplat.compare.sections import Section
from talksplat.compare.seeds import seeds_of, some_of, summary, summary_text
from talksplat.compare.table import Cell, ComparisonTable


def published_section(table: PublishedTable, groups: Sequence[SeedGroup]) -> Section:
    """Each published row beside the groups of runs that belong to it. A row without runs has an empty measured side; one
    with several groups is repeated. Which runs belong to no row is said below."""
    runs = [run for group in groups for run in group.runs]
    ours = _our_columns(runs)
    titles = ["published as"]
    for column in table.columns:
        titles.append(f"{column['title']}, published")
        if "measured" in column:
            titles.append(f"{ours[column['measured']].title}, measured")
    titles.append("measured runs (seeds)")
    rows = [_cells(table, row, group, ours) for row, group in _pairs(table, groups)]
    unmatched = [group.name for group in groups if table.row_of(group) is None]
    remarks = [*table.caveats, _measured_on(runs)]
    if unmatched:
        remarks.append(f"measured, but no row of this table: {some_of(unmatched)}")
    parts = [f"Published, not measured here: {table.source}.", ComparisonTable(titles, rows), remarks]
    return Section(f"Published beside measured: {table.title}", parts)


def published_csv(tables: Sequence[PublishedTable], groups: Sequence[SeedGroup]) -> str:
    """One line for each published number, with the mean and deviation measured here where there are some."""
    ours = _our_columns([run for group in groups for run in group.runs])
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["table", "row", "column", "published", "group", "measured", "measured_mean", "measured_std"])
    for table in tables:
        for row, group in _pairs(table, groups):
            for column, value in zip(table.columns, row["values"], strict=True):
                mine = ours.get(column.get("measured"))
                found = (summary(mine, group) if mine and group else None) or (None, None)
                name = None if group is None else group.name
                writer.writerow([table.name, row["name"], column["title"], value, name, mine and mine.key, *found])
    return stream.getvalue()


def _pairs(table: PublishedTable, groups: Sequence[SeedGroup]) -> list[tuple[dict[str, Any], SeedGroup | None]]:
    """Rows and the groups that belong to them, in the order of the rows; None where there is none."""
    of_row = {id(row): [] for row in table.rows}
    for group in groups:
        row = table.row_of(group)
        if row is not None:
            of_row[id(row)].append(group)
    return [(row, group) for row in table.rows for group in of_row[id(row)] or [None]]


def _cells(table: PublishedTable, row: dict[str, Any], group: SeedGroup | None, ours: dict[str, Column]) -> list[Cell]:
    cells = [row["name"]]
    for column, value in zip(table.columns, row["values"], strict=True):
        cells.append(value)
        if "measured" in column:
            mine = ours[column["measured"]]
            cells.append("" if group is None else summary_text(mine, summary(mine, group)))
    cells.append("" if group is None else f"{group.name}: {seeds_of(group)}")
    return [Cell(text) for text in cells]


def _our_columns(runs: Sequence[RunResult]) -> dict[str, Column]:
    def hours(run: RunResult) -> float | None:
        return None if run.training_seconds is None else run.training_seconds / 3600

    training = Column("training (h)", hours, 2, timed=True)
    return {column.key: column for column in columns_of(runs)} | {"training_hours": training}


def _measured_on(runs: Sequence[RunResult]) -> str:
    metrics = runs[0].metrics
    width, height = metrics["resolution"]
    hardware = ", ".join(dict.fromkeys(run.hardware for run in runs if run.hardware))
    return (
        f"measured: subject {metrics['subject']}, {len(metrics['frames'])} frames of {width}x{height} of the split "
        f"{runs[0].split}{', on ' + hardware if hardware else ''}; "
        "the published numbers are of other clips and machines, so compare differences within a column"
    )
