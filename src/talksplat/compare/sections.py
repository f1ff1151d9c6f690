"""Parts of a comparison as the page shows them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby

from talksplat.compare.table import Cell, ComparisonTable

Part = ComparisonTable | str | list[str]  # a table, a paragraph, the lines of a list


@dataclass
class Section:
    """A title and what stands under it. `folded`: reference that one looks up, behind a click and after the pictures."""

    title: str
    parts: list[Part] = field(default_factory=list)
    folded: bool = False


def sections_of_markdown(text: str, folded: bool = False) -> list[Section]:
    """Sections of the Markdown that comparisons write: headings, paragraphs, lists with "- ", tables. In a table's cell,
    `**bold**` marks the best value and `*italic*` the second best. What stands before the first heading has no title."""
    sections = [Section("", folded=folded)]
    for kind, lines in groupby(text.splitlines(), _kind):
        found = [line.strip() for line in lines]
        if kind == "heading":
            sections += [Section(line.lstrip("#").strip(), folded=folded) for line in found]
        elif kind == "table":
            sections[-1].parts.append(_table(found))
        elif kind == "list":
            sections[-1].parts.append([line[2:] for line in found])
        elif kind == "text":
            sections[-1].parts.append(" ".join(found))
    return [section for section in sections if section.title or section.parts]


def _kind(line: str) -> str:
    starts = {"#": "heading", "|": "table", "- ": "list"}
    return next((kind for start, kind in starts.items() if line.startswith(start)), "text" if line.strip() else "")


def _table(lines: list[str]) -> ComparisonTable:
    rows = [list(_cells(line)) for line in lines]
    return ComparisonTable([cell.text for cell in rows[0]], rows[2:])


def _cells(line: str) -> Iterator[Cell]:
    for text in re.split(r"(?<!\\)\|", line)[1:-1]:
        text = text.strip().replace("\\|", "|")
        bold = re.fullmatch(r"\*\*(.+)\*\*", text)
        yield Cell(bold[1] if bold else text, best=bool(bold))
