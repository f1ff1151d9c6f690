"""A published table with the groups of runs that belong to its rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from talksplat.compare.columns import Column, training_hours
from talksplat.compare.data import ComparisonData
from talksplat.compare.document import Cell, Section, Table
from talksplat.compare.external.published import PublishedTable
from talksplat.compare.load.groups import SeedGroup
from talksplat.compare.tables.results import csv_text, some_of


def published_section(table: PublishedTable, data: ComparisonData) -> Section:
    """Each published row with the groups of runs that belong to it. A row without runs has an empty measured side; one
    with several groups is repeated. Which runs belong to no row is said below."""
    titles = ["published as"]
    for title, mine in _columns(table, data):
        titles += [f"{title}, published", *([f"{mine.title}, measured"] if mine else [])]
    shown = Table([*titles, "measured runs (seeds)"])
    for row, group in _pairs(table, data):
        texts = [row["name"]]
        for value, (_, mine) in zip(row["values"], _columns(table, data), strict=True):
            texts += [value, *([mine.text(group) if group else ""] if mine else [])]
        shown.rows.append([Cell(text) for text in (*texts, f"{group.name}: {group.seeds}" if group else "")])
    on = f", on {data.hardware}" if data.hardware else ""
    remarks = [
        *table.caveats,
        f"measured: subject {data.subject}, {data.frames} of the split {data.split}{on}; "
        "the published numbers are of other clips and machines, so compare differences within a column",
    ]
    unmatched = [group.name for group in data.groups if table.row_of(group) is None]
    if unmatched:
        remarks.append(f"measured, but no row of this table: {some_of(unmatched)}")
    about = f"Published, not measured here: {table.source}."
    return Section(f"Published beside measured: {table.title}", [about, shown, remarks])


def published_csv(tables: Sequence[PublishedTable], data: ComparisonData) -> str:
    """One line for each published number, with the mean and deviation measured here where there are some."""
    rows = []
    for table in tables:
        for row, group in _pairs(table, data):
            for value, (title, mine) in zip(row["values"], _columns(table, data), strict=True):
                found = (mine.summary(group) if mine and group else None) or (None, None)
                rows.append([table.name, row["name"], title, value, group and group.name, mine and mine.key, *found])
    return csv_text(["table", "row", "column", "published", "group", "measured", "measured_mean", "measured_std"], rows)


def _columns(table: PublishedTable, data: ComparisonData) -> list[tuple[str, Column | None]]:
    """Titles of the published columns, and our column like each."""
    ours = data.columns | {"training_hours": training_hours()}
    return [(column["title"], ours[column["measured"]] if "measured" in column else None) for column in table.columns]


def _pairs(table: PublishedTable, data: ComparisonData) -> Iterator[tuple[dict[str, Any], SeedGroup | None]]:
    """Rows and the groups that belong to them, in the order of the rows; None where there is none."""
    rows = [(table.row_of(group), group) for group in data.groups]
    for row in table.rows:
        for group in [group for found, group in rows if found is row] or [None]:
            yield row, group
