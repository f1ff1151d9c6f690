"""Published numbers to set against measured ones.

Each file of `published/` is a table of a paper: where it comes from, what keeps it from being comparable, and which runs
its rows stand for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from talksplat.compare.load.groups import SeedGroup
from talksplat.errors import UserError

FOLDER = Path(__file__).parents[1] / "published"
KNOWN = sorted(path.stem for path in FOLDER.glob("*.yaml"))
AUTO = "auto"


@dataclass
class PublishedTable:
    """A table of a paper.

    Args:
        title, source, caveats: printed with it.
        base: experiments that make a whole model, not a variant of it; they do not matter for which row a run belongs to.
        columns: {"title", and "measured": key of our column where there is one like it}.
        rows: {"name", "values": one for each column, as printed there or empty, and what marks the runs of that row:
            "experiment", alternatives of which one is the only one besides `base` (or several, joined by " + "), or "model",
            the choice of that group without any other experiment than `base`; where a row has both, either}. A foreign video belongs to the row of its name.
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
            return next((row for row in self.rows if _same_name(row["name"], run.model)), None)
        if run.experiments is None:
            return None
        variant = set(run.experiments) - set(self.base)
        for row in self.rows:
            if any(_is_variant(run.model_choice, variant, text) for text in row.get("experiment", [])) or (
                not variant and row.get("model") == run.model_choice
            ):
                return row
        return None


def read_published(name: str) -> PublishedTable:
    """A table of `published/`.

    Raises:
        UserError: no such table; the known ones are named.
    """
    if name not in KNOWN:
        raise UserError(f"published={name}: there is no such table; choose of {', '.join([AUTO, *KNOWN])}")
    # BaseLoader keeps numbers as text: 0.990 stays 0.990.
    return PublishedTable(name=name, **yaml.load((FOLDER / f"{name}.yaml").read_text(), yaml.BaseLoader))


def add_fitting(tables: list[PublishedTable], groups: Sequence[SeedGroup]) -> tuple[list[PublishedTable], str]:
    """The tables and those that `published=auto` stands for, and a note that says which."""
    fitting, others = fitting_tables(groups)
    given = [table.name for table in tables]
    tables = tables + [table for table in fitting if table.name not in given]
    if not tables:
        return [], "published=auto: no table of a paper that is at hand has a row for these runs"
    note = f"published=auto chose {', '.join(table.name for table in tables)}"
    return tables, note + (f"; rows for some of the runs have {', '.join(others)} as well" if others else "")


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


def _is_variant(model: str, experiments: set[str], text: str) -> bool:
    names = text.split(" + ")
    return experiments == set(names) and all(name.split("/")[0] == model for name in names)


def _same_name(published: str, ours: str) -> bool:
    return "".join(filter(str.isalnum, published.lower())) == "".join(filter(str.isalnum, ours.lower()))
