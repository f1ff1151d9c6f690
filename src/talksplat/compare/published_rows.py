"""Published numbers beside measured ones.

Each file of `published/` is a table of a paper: where it comes from, what keeps it from being comparable, and which runs
its rows stand for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from talksplat.compare.columns import Column, columns_of
from talksplat.compare.groups import SeedGroup
from talksplat.compare.run_result import RunResult
from talksplat.compare.seeds import seeds_of, summary, summary_text
from talksplat.errors import UserError

FOLDER = Path(__file__).parent / "published"
EMPTY = ""


@dataclass
class PublishedTable:
    """A table of a paper.

    Args:
        title, source, caveats: printed with it.
        base: experiments that make a whole model, not a variant of it; they do not matter for which row a run belongs to.
        columns: {"title", and "measured": key of our column where there is one like it}.
        rows: {"name", "values": one for each column, as printed there or empty, and what marks the runs of that row:
            "experiment", the only one besides `base`, or "model", the choice of that group without any other experiment
            than `base`; where a row has both, either}.
    """

    title: str
    source: str
    caveats: list[str]
    base: list[str]
    columns: list[dict[str, str]]
    rows: list[dict[str, Any]]

    def row_of(self, group: SeedGroup) -> dict[str, Any] | None:
        """The row that a group of runs belongs to; None where there is none, or the runs did not note what they are."""
        run = group.runs[0]
        if run.experiments is None:
            return None
        variant = set(run.experiments) - set(self.base)
        for row in self.rows:
            folder = row.get("experiment", "").split("/")[0]
            if (variant == {row.get("experiment")} and folder == run.model_choice) or (
                not variant and row.get("model") == run.model_choice
            ):
                return row
        return None


def read_published(name: str) -> PublishedTable:
    """A table of `published/`.

    Raises:
        UserError: no such table; the known ones are named.
    """
    known = sorted(path.stem for path in FOLDER.glob("*.yaml"))
    if name not in known:
        raise UserError(f"published={name}: there is no such table; choose of {', '.join(known)}")
    # BaseLoader keeps numbers as text: 0.990 stays 0.990.
    return PublishedTable(**yaml.load((FOLDER / f"{name}.yaml").read_text(), yaml.BaseLoader))


def published_markdown(table: PublishedTable, groups: Sequence[SeedGroup]) -> str:
    """Section with each published row beside the groups of runs that belong to it, as Markdown. A row without runs has an
    empty measured side; one with several groups is repeated. Which runs belong to no row is said below."""
    runs = [run for group in groups for run in group.runs]
    ours = {column.key: column for column in columns_of(runs)} | {"training_hours": _training_hours()}
    titles = ["published as"]
    for column in table.columns:
        titles.append(f"{column['title']}, published")
        if "measured" in column:
            titles.append(f"{ours[column['measured']].title}, measured")
    titles.append("measured runs (seeds)")
    lines = [f"## Published beside measured: {table.title}", "", f"Published: {table.source}.", ""]
    lines += ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    for row in table.rows:
        for group in [group for group in groups if table.row_of(group) is row] or [None]:
            lines.append("| " + " | ".join(_cells(table, row, group, ours)) + " |")
    unmatched = [group.name for group in groups if table.row_of(group) is None]
    remarks = [*table.caveats, _measured_on(runs)]
    if unmatched:
        remarks.append(f"measured, but no row of this table: {', '.join(unmatched)}")
    return "\n".join([*lines, "", *(f"- {remark}" for remark in remarks)]) + "\n"


def _cells(table: PublishedTable, row: dict[str, Any], group: SeedGroup | None, ours: dict[str, Column]) -> list[str]:
    cells = [row["name"]]
    for column, value in zip(table.columns, row["values"], strict=True):
        cells.append(value)
        if "measured" in column:
            mine = ours[column["measured"]]
            cells.append(EMPTY if group is None else summary_text(mine, summary(mine, group)))
    cells.append(EMPTY if group is None else f"{group.name}: {seeds_of(group)}")
    return [cell.replace("|", "\\|") for cell in cells]


def _training_hours() -> Column:
    def hours(run: RunResult) -> float | None:
        return None if run.training_seconds is None else run.training_seconds / 3600

    return Column("training (h)", hours, 2, timed=True)


def _measured_on(runs: Sequence[RunResult]) -> str:
    metrics = runs[0].metrics
    width, height = metrics["resolution"]
    hardware = ", ".join(dict.fromkeys(run.hardware for run in runs))
    return (
        f"measured: subject {metrics['subject']}, {len(metrics['frames'])} frames of {width}x{height} of the split "
        f"{metrics['split']}, on {hardware}; "
        "the published numbers are of other clips and machines, so compare differences within a column"
    )
