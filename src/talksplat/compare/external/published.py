"""Published numbers to set against measured ones.

Each file of `published/` is a table of a paper: where it comes from, what keeps it from being comparable, and which runs
its rows stand for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from talksplat.compare.columns import Column
from talksplat.compare.data import ComparisonData
from talksplat.compare.document import Cell, Section, Table, some_of
from talksplat.compare.load.groups import SeedGroup
from talksplat.compare.tables.results import csv_text
from talksplat.errors import UserError

FOLDER = Path(__file__).parents[1] / "published"
KNOWN = sorted(path.stem for path in FOLDER.glob("*.yaml"))
AUTO = "auto"
COMPARE = "the published numbers are of other clips and machines, so compare differences within a column"


@dataclass
class PublishedTable:
    """A table of a paper.

    Args:
        title, source, caveats: printed with it.
        base: experiments that make a whole model, not a variant of it; they do not matter for which row a run belongs to.
        columns: {"title", and "measured": key of our column where there is one like it}.
        rows: {"name", "values": one for each column, as printed there or empty, and what marks the runs of that row:
            "experiment", alternatives of which one is the only one besides `base` (or several, joined by " + "), or "model",
            the choice of that group without any other experiment than `base`; where a row has both, either}. A foreign video
            belongs to the row of its name.
        method: model whose paper has the table; of two tables that fit equally it counts first.
    """

    name: str
    title: str
    source: str
    caveats: list[str]
    base: list[str]
    columns: list[dict[str, str]]
    rows: list[dict[str, Any]]
    method: str = ""

    def row_of(self, group: SeedGroup) -> dict[str, Any] | None:
        """The row that a group of runs belongs to; None where there is none, or the runs did not note what they are."""
        run = group.runs[0]
        if run.foreign:
            return next((row for row in self.rows if _letters(row["name"]) == _letters(run.model)), None)
        variant = set(run.experiments or ()) - set(self.base)
        for row in self.rows if run.experiments is not None else ():
            if not variant and row.get("model") == run.model_choice:
                return row
            for names in (text.split(" + ") for text in row.get("experiment", [])):
                if variant == set(names) and all(name.split("/")[0] == run.model_choice for name in names):
                    return row
        return None

    def pairs(self, data: ComparisonData) -> Iterator[tuple[dict[str, Any], SeedGroup | None]]:
        """Rows and the groups that belong to them, in the order of the rows; None where there is none."""
        found = [(self.row_of(group), group) for group in data.groups]
        for row in self.rows:
            for group in [group for other, group in found if other is row] or [None]:
                yield row, group

    def ours(self, data: ComparisonData) -> list[Column | None]:
        """Our column for each of the table."""
        seconds = data.columns["training"].value
        hours = Column("training (h)", lambda run: seconds(run) and seconds(run) / 3600, 2, timed=True)
        known = {None: None, "training_hours": hours} | data.columns
        return [known[column.get("measured")] for column in self.columns]


def read_published(name: str) -> PublishedTable:
    """A table of `published/`. Raises UserError, which names the known ones, where there is no such table."""
    if name not in KNOWN:
        raise UserError(f"published={name}: there is no such table; choose of {', '.join([AUTO, *KNOWN])}")
    # BaseLoader keeps numbers as text: 0.990 stays 0.990.
    return PublishedTable(name=name, **yaml.load((FOLDER / f"{name}.yaml").read_text(), yaml.BaseLoader))


def add_fitting(tables: list[PublishedTable], data: ComparisonData) -> list[PublishedTable]:
    """The tables and those that `published=auto` stands for, which is noted."""
    fitting, others = fitting_tables(data.groups)
    given = [table.name for table in tables]
    tables = tables + [table for table in fitting if table.name not in given]
    more = f"; rows for some of the runs have {', '.join(others)} as well" if others else ""
    chosen = f"published=auto chose {', '.join(table.name for table in tables)}{more}"
    data.notes.add(chosen if tables else "published=auto: no table of a paper that is at hand has a row for these runs")
    return tables


def fitting_tables(groups: Sequence[SeedGroup]) -> tuple[list[PublishedTable], list[str]]:
    """As few tables as have a row for every group that is in any table; and the names of the others that have a row for some
    group."""
    tables = {name: read_published(name) for name in KNOWN}
    matched = {name: {group.name for group in groups if table.row_of(group)} for name, table in tables.items()}
    models = {group.runs[0].model_choice for group in groups}
    # Whole models stand in the tables of many papers: their own comes first, and one with more that is measured here.
    order = sorted(
        (table for table in tables.values() if matched[table.name]),
        key=lambda table: (table.method not in models, -sum("measured" in column for column in table.columns)),
    )
    chosen: list[PublishedTable] = []
    covered: set[str] = set()
    while left := [table for table in order if matched[table.name] - covered]:
        chosen.append(max(left, key=lambda table: len(matched[table.name] - covered)))
        covered |= matched[chosen[-1].name]
    return chosen, [table.name for table in order if table not in chosen]


def published_section(table: PublishedTable, data: ComparisonData) -> Section:
    """Each published row with the groups of runs that belong to it. A row without runs has an empty measured side; one
    with several groups is repeated. Which runs belong to no row is said below."""
    ours, titles = table.ours(data), ["published as"]
    for column, mine in zip(table.columns, ours):
        titles += [f"{column['title']}, published", *([f"{mine.title}, measured"] if mine else [])]
    shown = Table([*titles, "measured runs (seeds)"])
    for row, group in table.pairs(data):
        texts = [row["name"]]
        for value, mine in zip(row["values"], ours, strict=True):
            texts += [value, *([mine.text(group) if group else ""] if mine else [])]
        shown.rows.append([Cell(text) for text in (*texts, f"{group.name}: {group.seeds}" if group else "")])
    measured = "measured: subject {subject}, {frames} frames of {resolution} of the split {split}".format(**data.facts)
    measured += f", on {data.facts['hardware']}" if data.facts["hardware"] else ""
    remarks = [*table.caveats, f"{measured}; {COMPARE}"]
    unmatched = [group.name for group in data.groups if table.row_of(group) is None]
    if unmatched:
        remarks.append(f"measured, but no row of this table: {some_of(unmatched)}")
    about = f"Published, not measured here: {table.source}."
    return Section(f"Published beside measured: {table.title}", [about, shown, remarks])


def published_csv(tables: Sequence[PublishedTable], data: ComparisonData) -> str:
    """One line for each published number, with the mean and deviation measured here where there are some."""
    rows = []
    for table in tables:
        for row, group in table.pairs(data):
            for column, value, mine in zip(table.columns, row["values"], table.ours(data), strict=True):
                found = (mine.summary(group) if mine and group else None) or (None, None)
                names = [group and group.name, mine and mine.key]
                rows.append([table.name, row["name"], column["title"], value, *names, *found])
    return csv_text(["table", "row", "column", "published", "group", "measured", "measured_mean", "measured_std"], rows)


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name.lower()))
