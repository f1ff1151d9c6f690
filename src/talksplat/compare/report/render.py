"""Sections as Markdown, as LaTeX and as an HTML page, from the templates of this folder."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from markupsafe import escape as escape_html

from talksplat.compare.columns import NONE
from talksplat.compare.document import RESULT, Cell, Section, Table

NUMBER, EMPTY = re.compile(r"[-−+±.]?\d"), ("", "-", NONE)
MAX_VIDEO = 16e6  # bytes; base64 makes a third more of them, and pages beyond some 25 MB are slow to open and to send
# LaTeX has braces and % of its own.
TEX = {"block_start_string": "<%", "block_end_string": "%>", "comment_start_string": "<#", "comment_end_string": "#>"}
TEX |= {"variable_start_string": "<<", "variable_end_string": ">>"}
ESCAPES = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "`": r"\textasciigrave{}"}
    | {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}", "…": r"\dots{}"}
    | {"[": "{[}", "]": "{]}"}  # after \\ a bracket would be a length
    | {"±": r"$\pm$", "−": r"$-$", "×": r"$\times$", "–": "--", "—": "---", "³": r"$^3$", "²": r"$^2$"}
)


def render(template: str, **values: Any) -> str:
    """What a template of this folder makes of the values."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=".html" in template,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=".html" not in template,
        **(TEX if ".tex" in template else {}),
    )
    environment.filters |= {"kinds": _kinds, "code": _with_code, "markdown": _markdown, "base64": _base64}
    return environment.get_template(template).render(values, max_video=MAX_VIDEO)


def latex_tables(sections: Sequence[Section]) -> str:
    """A `table` environment for each table of the results; its caption is the section's title and what stands above the table:
    booktabs rules, as wide as the text, best values bold, second best underlined, footnotes below."""
    results = (section for section in sections if section.kind == RESULT)
    return render("table.tex.j2", tables=[table for section in results for table in _latex_of(section)])


def escape(text: str) -> str:
    """Plain text for LaTeX."""
    return text.translate(ESCAPES)


def _latex_of(section: Section) -> Iterator[dict[str, Any]]:
    name, number, above = re.sub(r"[^a-z0-9]+", "-", section.title.lower()).strip("-"), 0, [section.title]
    for part in section.parts:
        if isinstance(part, Table):
            label = f"{name}-{number}" if number else name
            yield {"caption": escape(". ".join(above)), "label": label, **_latex_contents(part)}
            number, above = number + 1, [section.title]
        elif isinstance(part, str):
            above.append(part)


def _latex_contents(table: Table) -> dict[str, list]:
    """Titles, cells and lines below; columns without any value are left out, and with them their footnotes."""
    kept = [place for place in range(len(table.titles)) if any(row[place].text != NONE for row in table.rows)]
    rows = [[row[place] for place in kept] for row in table.rows]
    used = sorted({cell.note for row in rows for cell in row if cell.note is not None})
    numbers = {note: f"$^{{{number}}}$" for number, note in enumerate(used, 1)}
    commands = {"best": r"\textbf{%s}", "second": r"\underline{%s}"}
    return {
        "titles": [escape(table.titles[place]) for place in kept],
        "rows": [
            [commands.get(cell.mark, "%s") % escape(cell.text) + numbers.get(cell.note, "") for cell in row]
            for row in rows
        ],
        "below": [f"{numbers[note]} {escape(table.notes[note - 1])}" for note in used]
        + [escape(r) for r in table.remarks],
    }


def _kinds(table: Table) -> list[str]:
    """Of each column "text" or "number", which stand at different sides."""
    columns = zip(*([cell.text for cell in row] for row in table.rows))
    return ["number" if all(text in EMPTY or NUMBER.match(text) for text in column) else "text" for column in columns]


def _with_code(text: str) -> Markup:
    """Escaped text; `code` in backticks is set as such."""
    return Markup(re.sub(r"`(.*?)`", r"<code>\1</code>", str(escape_html(text))))


def _markdown(cell: Cell) -> str:
    text = cell.plain.replace("|", "\\|")
    return {"best": f"**{text}**", "second": f"<u>{text}</u>"}.get(cell.mark, text)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
