"""The parts of a comparison, in no format yet: sections of text, lists and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Mark = Literal["best", "second"] | None
HEAD, RESULT, LOOKUP, NOTES = "head", "result", "lookup", "notes"  # kinds of sections
MAX_NAMED = 6  # in a note


def some_of(names: Sequence[str], most: int = 12) -> str:
    """Names with commas; of many the first ones and how many more."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


@dataclass
class Cell:
    """A formatted value; `mark`: "best", "second" or None; `note`: number of a footnote."""

    text: str
    mark: Mark = None
    note: int | None = None

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


class Notes:
    """What is to be known about a comparison, in the order in which it turned up."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, str], list[str]] = {}

    def add(self, text: str) -> None:
        """A note; equal ones are one."""
        self._names.setdefault((text, ""), [])

    def leave_out(self, name: str, where: str, reason: str) -> None:
        """A group or run that is, for a reason, not where others are; those of one reason share a note."""
        self._names.setdefault((where, reason), []).append(name)

    @property
    def lines(self) -> list[str]:
        """All notes."""
        return [
            f"{some_of(names, MAX_NAMED)} {'are' if len(names) > 1 else 'is'} {text}: {reason}" if names else text
            for (text, reason), names in self._names.items()
        ]
