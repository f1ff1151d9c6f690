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
from talksplat.compare.data import ComparisonData
from talksplat.compare.document import RESULT, Section, Table
from talksplat.compare.pictures.style import APART, COLORS, ERROR_HIGH

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
    environment.filters |= {
        "kinds": _kinds,
        "code": _with_code,
        "tex": escape,
        "md": _markdown,
        "base64": base64.b64encode,
    }
    return environment.get_template(template).render(values)


def html_page(data: ComparisonData, out: Path, poster: bytes | None) -> str:
    """One page that needs no other file and no network: sections, the pictures that are in `out`, and what one looks up, behind
    a click each. The video is part of it, behind its poster, unless it is too large, in which case the page links to it."""
    limits = {"error_high": ERROR_HIGH, "apart": APART, "max_video": MAX_VIDEO}
    words = data.pick(data.groups, len(COLORS))[1]
    return render("comparison.html.j2", data=data, out=out, poster=poster, words=words, **limits)


def latex_tables(sections: Sequence[Section]) -> str:
    """A `table` environment for each table of the results; its caption is the section's title and what stands above the table:
    booktabs rules, as wide as the text, best values bold, second best underlined, footnotes below."""
    results = (section for section in sections if section.kind == RESULT)
    return render("table.tex.j2", tables=[table for section in results for table in _latex_of(section)])


def escape(text: str) -> str:
    """Plain text for LaTeX."""
    return text.translate(ESCAPES)


def _latex_of(section: Section) -> Iterator[dict[str, Any]]:
    """Tables with their captions and labels; columns without any value are left out, and with them their footnotes."""
    name, number, above = re.sub(r"[^a-z0-9]+", "-", section.title.lower()).strip("-"), 0, [section.title]
    for part in section.parts:
        if isinstance(part, Table):
            columns = zip(part.titles, *part.rows)
            kept = [column for column in columns if any(cell.text != NONE for cell in column[1:])]
            titles, *rows = zip(*kept)
            used = sorted({cell.note for row in rows for cell in row if cell.note is not None})
            numbers = {note: number for number, note in enumerate(used, 1)}
            label = f"{name}-{number}" if number else name
            texts = {"caption": ". ".join(above), "label": label, "titles": titles, "remarks": part.remarks}
            yield {**texts, "rows": rows, "numbers": numbers, "notes": part.notes}
            number, above = number + 1, [section.title]
        elif isinstance(part, str):
            above.append(part)


def _kinds(table: Table) -> list[str]:
    """Of each column "text" or "number", which stand at different sides."""
    columns = zip(*([cell.text for cell in row] for row in table.rows))
    return ["number" if all(text in EMPTY or NUMBER.match(text) for text in column) else "text" for column in columns]


def _markdown(text: str) -> str:
    """One line in which neither tags nor links are markup; `code` in backticks stays."""
    parts = re.split(r"(`[^`]*`)", " ".join(text.split("\n")))
    return "".join(part if part[:1] == "`" else part.replace("<", "&lt;").replace("](", "]\\(") for part in parts)


def _with_code(text: str) -> Markup:
    """Escaped text; `code` in backticks is set as such."""
    return Markup(re.sub(r"(?s)`(.*?)`", r"<code>\1</code>", str(escape_html(text))))
