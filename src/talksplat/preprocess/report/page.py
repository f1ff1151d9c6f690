"""The page itself: `report.html`, which needs no other file, and `report.png`."""

from __future__ import annotations

import base64
import io
import textwrap
from pathlib import Path

import cv2
import jinja2
import matplotlib
import numpy as np
from matplotlib.figure import Figure

from talksplat.files import write_bytes
from talksplat.preprocess.report.curves import CURVES
from talksplat.preprocess.report.facts import Facts
from talksplat.preprocess.report.pictures import ROWS, Pictures, montage

HTML_NAME, PNG_NAME = "report.html", "report.png"
TEMPLATE = Path(__file__).with_name("page.html.j2")
JPEG_QUALITY = 85
SHEET_INCHES, SHEET_DPI = (10.0, 14.14), 130  # the shape of A4
INK, GOOD, BAD, UNKNOWN = "#1c2833", "#1e8449", "#ca6f1e", "#707b7c"
MARKS = {True: ("✓", GOOD), False: ("⚠", BAD), None: ("?", UNKNOWN)}


@matplotlib.rc_context({"text.parse_math": False})  # a $ in a name begins no formula
def write_report(folder: Path, facts: Facts, pictures: Pictures) -> None:
    """Write `report.html` and `report.png` into `folder`. Raises UserError if that fails (a full disk)."""
    write_bytes(folder / HTML_NAME, _html(facts, pictures).encode())
    write_bytes(folder / PNG_NAME, _png(_sheet(facts, pictures), SHEET_DPI))


def _html(facts: Facts, pictures: Pictures) -> str:
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(TEMPLATE.read_text())
    curves = []
    for name, draw in CURVES.items():
        figure = Figure(figsize=(5.4, 2.6), layout="constrained")
        axes = figure.subplots()
        draw(axes, facts)
        axes.set_title(name, fontsize=9)
        curves.append((name, _embedded(_png(figure, 120), "png")))
    tiles = [{"name": ROWS[key], "images": [_photo(image) for image in row]} for key, row in pictures.rows.items()]
    return template.render(
        facts=facts,
        marks={good: mark for good, (mark, _) in MARKS.items()},
        pictures=pictures,
        tiles=tiles,
        front=_photo(pictures.front),
        side=_photo(pictures.side),
        curves=curves,
    )


def _sheet(facts: Facts, pictures: Pictures) -> Figure:
    """One page: words and start points, sample frames, curves."""
    figure = Figure(figsize=SHEET_INCHES, layout="constrained")
    figure.suptitle(facts.title, fontsize=13, fontweight="bold")
    head, middle, foot = figure.subfigures(3, 1, height_ratios=[2.6, 6.0, 5.8])
    _words(head, facts)
    frames, points = middle.subfigures(1, 2, width_ratios=[3, 1])
    axes = frames.subplots()
    _show(axes, montage(list(pictures.rows.values())))
    axes.set_title("\n".join(("  |  ".join(ROWS.values()), f"frames {pictures.frame_ids}")), fontsize=6.5)
    for axes, image, side in zip(points.subplots(2, 1), (pictures.front, pictures.side), ("front", "side")):
        _show(axes, image)
        axes.set_title(f"start points, {side}", fontsize=8)
    grid = foot.add_gridspec((len(CURVES) + 1) // 2, 2)
    for index, (name, draw) in enumerate(CURVES.items()):
        axes = foot.add_subplot(grid[index // 2, index % 2])
        draw(axes, facts)
        axes.set_title(name, fontsize=8)
    return figure


def _words(figure, facts: Facts) -> None:
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    about = textwrap.wrap("   ".join(f"{name}: {value}" for name, value in facts.about), 150, break_long_words=False)
    lines = [(line, "#566573", "") for line in about]
    for check in facts.checks:
        mark, color = MARKS[check.good]
        text = f"{check.name}: {check.sentence if check.good is False else check.finding}"
        for index, line in enumerate(textwrap.wrap(text, 150)):
            lines.append((line, color if check.good is False else INK, mark if index == 0 else ""))
    for note in facts.notes:
        lines += [(line, INK, "–" if i == 0 else "") for i, line in enumerate(textwrap.wrap(note, 150))]
    step = 1 / max(len(lines), 15)
    for row, (line, color, mark) in enumerate(lines):
        place = 1 - (row + 0.5) * step
        axes.text(0.0, place, mark, fontsize=8, va="center", color=color if mark != "✓" else GOOD, fontweight="bold")
        axes.text(0.02, place, line, fontsize=7.5, va="center", color=color)


def _show(axes, image: np.ndarray) -> None:
    axes.imshow(image, interpolation="lanczos")
    axes.set_axis_off()


def _png(figure: Figure, dpi: int) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def _photo(image: np.ndarray) -> str:
    done, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))
    if not done:
        raise ValueError(f"cannot encode an image of shape {image.shape}")
    return _embedded(data.tobytes(), "jpeg")


def _embedded(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
