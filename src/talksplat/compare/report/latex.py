"""Tables for a paper."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from talksplat.compare.columns import NONE
from talksplat.compare.document import RESULT, Cell, Section, Table
from talksplat.compare.report.templates import render

ESCAPES = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "`": r"\textasciigrave{}"}
    | {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}", "…": r"\dots{}"}
    | {"[": "{[}", "]": "{]}"}  # after \\ a bracket would be a length
    | {"±": r"$\pm$", "−": r"$-$", "×": r"$\times$", "–": "--", "—": "---", "³": r"$^3$", "²": r"$^2$"}
)


def latex_tables(sections: Sequence[Section]) -> str:
    """A `table` environment for each table of the results; its caption is the section's title and what stands above the table:
    booktabs rules, as wide as the text, best values bold, second best underlined, footnotes below."""
    results = (section for section in sections if section.kind == RESULT)
    return render("table.tex.j2", tables=[table for section in results for table in _tables(section)])


def escape(text: str) -> str:
    """Plain text for LaTeX."""
    return text.translate(ESCAPES)


def _tables(section: Section) -> Iterator[dict[str, Any]]:
    name, number, above = re.sub(r"[^a-z0-9]+", "-", section.title.lower()).strip("-"), 0, [section.title]
    for part in section.parts:
        if isinstance(part, Table):
            label = f"{name}-{number}" if number else name
            yield {"caption": escape(". ".join(above)), "label": label, **_contents(part)}
            number, above = number + 1, [section.title]
        elif isinstance(part, str):
            above.append(part)


def _contents(table: Table) -> dict[str, list]:
    """Titles, cells and lines below; columns without any value are left out, and with them their footnotes."""
    kept = [place for place in range(len(table.titles)) if any(row[place].text != NONE for row in table.rows)]
    rows = [[row[place] for place in kept] for row in table.rows]
    used = sorted({cell.note for row in rows for cell in row if cell.note is not None})
    numbers = {note: f"$^{{{number}}}$" for number, note in enumerate(used, 1)}
    return {
        "titles": [escape(table.titles[place]) for place in kept],
        "rows": [[_cell(cell) + numbers.get(cell.note, "") for cell in row] for row in rows],
        "below": [f"{numbers[note]} {escape(table.notes[note - 1])}" for note in used]
        + [escape(r) for r in table.remarks],
    }


def _cell(cell: Cell) -> str:
    command = {"best": "textbf", "second": "underline"}.get(cell.mark)
    return rf"\{command}{{{escape(cell.text)}}}" if command else escape(cell.text)
