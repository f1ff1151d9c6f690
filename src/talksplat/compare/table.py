"""The table of a comparison: rows of values, and how they are written."""

from __future__ import annotations

from dataclasses import dataclass, field

from rich.console import Group
from rich.markup import escape
from rich.table import Table as RichTable

from talksplat.compare.marks import Mark

MAX_BESIDE = 4  # rows that a terminal shows beside each other, as columns


@dataclass
class Cell:
    """A formatted value; `mark`: "best", "second" or None; `note`: number of a footnote."""

    text: str
    mark: Mark = None
    note: int | None = None

    @property
    def best(self) -> bool:
        """Whether it is marked as the best of its column."""
        return self.mark == "best"

    @property
    def plain(self) -> str:
        """Text and footnote."""
        return self.text if self.note is None else f"{self.text} [{self.note}]"


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
        """Best values bold, second best underlined; footnotes below."""
        titles = [title.replace("|", "\\|") for title in self.titles]
        lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(self.titles)]
        lines += ["| " + " | ".join(_markdown_cell(cell) for cell in row) + " |" for row in self.rows]
        return "\n".join([*lines, "", *(f"{line}  " for line in self.below())]).rstrip() + "\n"

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
        return Group(*parts, *(escape(line) for line in self.below()))

    def below(self) -> list[str]:
        """Lines under the table: footnotes and remarks."""
        return [f"[{number}] {note}" for number, note in enumerate(self.notes, 1)] + self.remarks


def _rich_cell(cell: Cell) -> str:
    text = escape(cell.plain)
    style = {"best": "bold", "second": "underline"}.get(cell.mark)
    return f"[{style}]{text}[/{style}]" if style else text


def _markdown_cell(cell: Cell) -> str:
    text = cell.plain.replace("|", "\\|")
    if cell.mark == "second":
        return f"<u>{text}</u>"
    return f"**{text}**" if cell.mark == "best" else text
