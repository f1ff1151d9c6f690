"""The table of a comparison: rows of values, and how they are written."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Group
from rich.markup import escape
from rich.table import Table as RichTable

from talksplat.compare.columns import Column, columns_of
from talksplat.compare.run_result import RunResult

MAX_BESIDE = 4  # rows that a terminal shows beside each other, as columns


@dataclass
class Cell:
    """A formatted value; `note` is the number of a footnote."""

    text: str
    best: bool = False
    note: int | None = None


@dataclass
class ComparisonTable:
    """Titles, rows of cells, footnotes that cells refer to, and remarks on the whole."""

    titles: list[str]
    rows: list[list[Cell]]
    notes: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def note(self, text: str) -> int:
        """Number of a footnote; equal ones are one."""
        if text not in self.notes:
            self.notes.append(text)
        return self.notes.index(text) + 1

    def markdown(self) -> str:
        """Best values bold; footnotes below."""
        lines = ["| " + " | ".join(self.titles) + " |", "|" + "---|" * len(self.titles)]
        lines += ["| " + " | ".join(_markdown_cell(cell) for cell in row) + " |" for row in self.rows]
        return "\n".join([*lines, "", *(f"{line}  " for line in self._below())]).rstrip() + "\n"

    def rich(self) -> Group:
        """The same for a terminal of 100 columns: rows stand beside each other, a few at a time."""
        parts = []
        for start in range(0, len(self.rows), MAX_BESIDE):
            block = [[escape(title) for title in self.titles]]
            block += [[_rich_cell(cell) for cell in row] for row in self.rows[start : start + MAX_BESIDE]]
            lines = list(zip(*block))
            table = RichTable()
            for index, title in enumerate(lines[0]):
                table.add_column(title, justify="right" if index else "left", no_wrap=not index, overflow="fold")
            for line in lines[1:]:
                table.add_row(*line)
            parts.append(table)
        return Group(*parts, *(escape(line) for line in self._below()))

    def _below(self) -> list[str]:
        return [f"[{number}] {note}" for number, note in enumerate(self.notes, 1)] + self.remarks


def build_table(runs: Sequence[RunResult]) -> ComparisonTable:
    """Rows in the order of the runs. Times are only ranked where all runs had the same hardware."""
    columns = columns_of(runs)
    table = ComparisonTable([column.title for column in columns], [[] for _ in runs])
    for column in columns:
        values = [column.value(run) for run in runs]
        winner = best_text(column, values, runs)
        for row, run, value in zip(table.rows, runs, values):
            note = None if value is not None else table.note(column.reason(run))
            text = column.format(value)
            row.append(Cell(text, text == winner, note))
    return table


def best_text(column: Column, values: Sequence[object], runs: Sequence[RunResult]) -> str | None:
    """Text of the best value, since what looks the same is marked the same; None where nothing is ranked."""
    known = [value for value in values if value is not None]
    same_hardware = len({run.hardware for run in runs}) == 1
    if len(values) < 2 or not known or column.better == 0 or (column.timed and not same_hardware):
        return None
    return column.format(max(known) if column.better > 0 else min(known))


def csv_text(runs: Sequence[RunResult]) -> str:
    """All values at full precision; empty where there is none."""
    columns = columns_of(runs)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([column.key for column in columns] + ["path"])
    for run in runs:
        writer.writerow([column.value(run) for column in columns] + [str(run.path)])
    return stream.getvalue()


def _plain(cell: Cell) -> str:
    return cell.text if cell.note is None else f"{cell.text} [{cell.note}]"


def _rich_cell(cell: Cell) -> str:
    text = escape(_plain(cell))
    return f"[bold]{text}[/bold]" if cell.best else text


def _markdown_cell(cell: Cell) -> str:
    text = _plain(cell).replace("|", "\\|")
    return f"**{text}**" if cell.best else text
