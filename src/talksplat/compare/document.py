"""The parts of a comparison, in no format yet: sections of text, lists and tables."""

from __future__ import annotations

from dataclasses import dataclass, field

from talksplat.compare.tables.marks import Mark

HEAD, RESULT, LOOKUP, NOTES = "head", "result", "lookup", "notes"  # kinds of sections


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
class Table:
    """Titles, rows of cells, footnotes that cells refer to, and remarks on the whole."""

    titles: list[str]
    rows: list[list[Cell]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def note(self, text: str) -> int:
        """Number of a footnote; equal ones are one."""
        if text not in self.notes:
            self.notes.append(text)
        return self.notes.index(text) + 1

    @property
    def below(self) -> list[str]:
        """Lines under the table: footnotes and remarks."""
        return [f"[{number}] {note}" for number, note in enumerate(self.notes, 1)] + self.remarks


@dataclass
class Section:
    """A title and its parts in their order: a paragraph (text), a list (of texts) or a table. Texts are plain but for
    `code` in backticks. The kind says where it appears: results are printed and have LaTeX tables, what is looked up is folded
    in the page."""

    title: str
    parts: list[str | list[str] | Table] = field(default_factory=list)
    kind: str = RESULT
