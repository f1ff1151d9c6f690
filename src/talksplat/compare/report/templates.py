"""Sections as Markdown, as LaTeX and as an HTML page, from the templates of this folder."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from talksplat.compare.document import Cell, Section, Table
from talksplat.compare.pictures.draw import Picture
from talksplat.files import write_text

NUMBER, EMPTY = re.compile(r"[-−+±.]?\d"), ("", "-", "n/a")
MAX_VIDEO = 16e6  # bytes; base64 makes a third more of them, and pages beyond some 25 MB are slow to open and to send
# LaTeX has braces and % of its own.
TEX = {"block_start_string": "<%", "block_end_string": "%>", "comment_start_string": "<#", "comment_end_string": "#>"}
TEX |= {"variable_start_string": "<<", "variable_end_string": ">>"}


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
    return environment.get_template(template).render(values)


def markdown(sections: Sequence[Section]) -> str:
    """The sections; the first one's title is that of the page."""
    return render("comparison.md.j2", sections=sections)


def write_page(
    path: Path, about: Sequence[tuple[str, str]], sections: Sequence[Section], pictures: Sequence[Picture] = ()
) -> None:
    """Write one HTML page that needs no other file and no network: sections, pictures, video, and what one looks up, behind a
    click each.

    Args:
        path: the HTML file.
        about: names and values of what was compared.
        sections: the first one's title is that of the page.
        pictures: files in the same folder that become part of the page; a video does unless it is too large, in which case
            the page links to it and says so.

    Raises:
        UserError: it cannot be written (a full disk).
    """
    values = {"about": about, "sections": sections, "pictures": pictures, "max_video": MAX_VIDEO}
    write_text(path, render("comparison.html.j2", **values))


def _kinds(table: Table) -> list[str]:
    """Of each column "text" or "number", which stand at different sides."""
    columns = zip(*([cell.text for cell in row] for row in table.rows))
    return ["number" if all(text in EMPTY or NUMBER.match(text) for text in column) else "text" for column in columns]


def _with_code(text: str) -> Markup:
    """Escaped text; `code` in backticks is set as such."""
    pieces = text.split("`")
    if len(pieces) % 2 == 0:  # one backtick has no partner
        return escape(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(piece) if i % 2 else piece for i, piece in enumerate(pieces)
    )


def _markdown(cell: Cell) -> str:
    text = cell.plain.replace("|", "\\|")
    return {"best": f"**{text}**", "second": f"<u>{text}</u>"}.get(cell.mark, text)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
