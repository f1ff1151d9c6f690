"""A comparison as one HTML page that needs no other file and no network."""

from __future__ import annotations

import base64
import os
import re
import urllib.parse
from collections.abc import Sequence
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from talksplat.compare.pictures import Film, Picture
from talksplat.compare.sections import Section
from talksplat.compare.table import ComparisonTable
from talksplat.files import write_bytes

TEMPLATE = Path(__file__).with_name("page.html.j2")
KINDS = {".png": "image/png", ".jpg": "image/jpeg", ".mp4": "video/mp4"}
NUMBER, EMPTY = re.compile(r"[-−+±.]?\d"), ("", "-", "n/a")
MAX_VIDEO = 16e6  # bytes; base64 makes a third more of them, and pages beyond some 25 MB are slow to open and to send


def write_page(
    path: Path,
    title: str,
    about: Sequence[tuple[str, str]],
    sections: Sequence[Section],
    folded: Sequence[Section],
    pictures: Sequence[Picture],
    video: Film | None = None,
) -> None:
    """Write the page: sections, pictures, video, and what one looks up, behind a click each.

    Args:
        path: the HTML file.
        title: its heading.
        about: names and values of what was compared.
        sections: tables and texts.
        folded: further ones, that are only looked up.
        pictures: files that become part of the page.
        video: MP4; part of the page unless it is too large, in which case the page links to it and says so.

    Raises:
        UserError: it cannot be written (a full disk).
    """
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.tests["table"] = lambda part: isinstance(part, ComparisonTable)
    environment.filters["kinds"] = _kinds
    environment.filters["code"] = _with_code
    text = environment.from_string(TEMPLATE.read_text()).render(
        title=title,
        about=about,
        sections=sections,
        folded=folded,
        pictures=[(picture, _embedded(picture.path)) for picture in pictures],
        video=None if video is None else _Video(video, path.parent),
    )
    write_bytes(path, text.encode())


class _Video:
    """How the page shows a video.

    Attributes:
        title, caption: what is said about it.
        source: the whole file, or None where it is too large.
        poster: what is seen before it plays, and in print.
        link: where it lies beside the page.
        megabytes: its size.
    """

    def __init__(self, video: Film, folder: Path) -> None:
        size = video.path.stat().st_size
        self.title, self.caption = video.title, video.caption
        self.poster = _data_uri(video.poster, ".jpg")
        self.megabytes = size / 1e6
        self.link = urllib.parse.quote(Path(os.path.relpath(video.path, folder)).as_posix())
        self.source = _embedded(video.path) if size <= MAX_VIDEO else None


def _kinds(table: ComparisonTable) -> list[str]:
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


def _embedded(path: Path) -> str:
    return _data_uri(path.read_bytes(), path.suffix)


def _data_uri(data: bytes, suffix: str) -> str:
    return f"data:{KINDS[suffix]};base64,{base64.b64encode(data).decode()}"
