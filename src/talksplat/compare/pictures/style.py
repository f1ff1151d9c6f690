"""What pictures have in common: colours, legends, letters, files."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from jaxtyping import UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image, ImageDraw, ImageFont

from talksplat.compare.data import ComparisonData
from talksplat.compare.load.groups import SeedGroup
from talksplat.files import replacing

WIDTH, DPI = 6.6, 160  # inches: half a page on a screen, a column in print
# Okabe and Ito's colours, which colour-blind people tell apart, without the yellow that white paper swallows. Markers and
# dashes say the same in a black-and-white print.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
GREY = "#B0B0B0"
ERROR_HIGH = 64  # of 255: an error that has the brightest colour in maps, as larger ones have
ELLIPSIS = "…"
MAX_NAME = 48  # letters of a name in a legend
JPEG_QUALITY = 88
APART = 5  # frames between two of the worst of a group: neighbours look alike


@dataclass(frozen=True)
class GroupStyle:
    """How a group is drawn; coloured ones lie above grey ones."""

    color: str = GREY
    marker: str = "o"
    dash: str | tuple = "-"
    colored: bool = False
    order: int = 1


class PlotStyle:
    """The same style for a group in all plots. At most seven groups, `shown`, have a colour: all, or the best and the worst."""

    def __init__(self, data: ComparisonData) -> None:
        self.shown, _ = data.pick(data.groups, len(COLORS))
        styles = (GroupStyle(*kind, colored=True, order=3) for kind in zip(COLORS, MARKERS, DASHES))
        self._styles = {group.name: style for group, style in zip(self.shown, styles)}

    def of(self, group: SeedGroup) -> GroupStyle:
        """Style of a group."""
        return self._styles.get(group.name, GroupStyle())

    def legend(self, figure: Figure, drawn: Sequence[SeedGroup]) -> None:
        """One entry for each coloured group that was drawn, and one for all grey ones, below the plot."""
        names = {group.name for group in drawn}
        handles = []
        for group in self.shown:
            if group.name in names:
                style = self.of(group)
                look = {"color": style.color, "linestyle": style.dash, "marker": style.marker, "markersize": 4}
                handles.append(Line2D([], [], label=shorten(group.name), **look))
        grey = len(names - self._styles.keys())
        if grey:
            handles.append(Line2D([], [], color=GREY, label=f"{grey} other groups"))
        below(figure, handles, handlelength=3.2)


def below(figure: Figure, handles: Sequence[Line2D], **more: float) -> None:
    """A legend under a plot."""
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=8, frameon=False, **more)


def save(figure: Figure, path: Path, dpi: int = DPI) -> None:
    """Write a PNG, whole or not at all."""
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=dpi, format="png")


def plain(axes: Axes) -> None:
    """A faint grid and no frame at the top and at the right."""
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)


def shorten(text: str, fits: Callable[[str], bool] = lambda text: len(text) <= MAX_NAME) -> str:
    """The text, or as much of its two ends as fits around an ellipsis; only the ellipsis where nothing does."""
    if fits(text):
        return text
    for kept in range(len(text) - 1, 0, -1):
        candidate = text[: (kept + 1) // 2] + ELLIPSIS + text[len(text) - kept // 2 :]
        if fits(candidate):
            return candidate
    return ELLIPSIS


def font_size(width: int) -> int:
    """Size of letters, in pixels, in pictures of this width."""
    return min(max(width // 20, 10), 22)


def title_height(size: int) -> int:
    """Height of a line of text, in pixels; even, as video wants it."""
    return 2 * round(0.85 * size)


def write_text(image: UInt8[np.ndarray, "height width 3"], text: str, left: int, top: int, size: int) -> None:
    """White letters into the image, in one line that ends before its right side."""
    font = _font(size)
    text = shorten(text, lambda part: left + font.getlength(part) <= image.shape[1] - 2)
    picture = Image.fromarray(image)
    ImageDraw.Draw(picture).text((left, top), text, (255, 255, 255), font)
    image[:] = np.asarray(picture)


def title_line(text: str, width: int, size: int) -> UInt8[np.ndarray, "height width 3"]:
    """White text on black, as high as `title_height` says."""
    line = np.zeros((title_height(size), width, 3), np.uint8)
    write_text(line, text, 4, round(0.2 * size), size)
    return line


def jpeg(image: UInt8[np.ndarray, "height width 3"]) -> bytes:
    """A file small enough to become part of a page."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    # Comes with matplotlib on every machine, and has letters that OpenCV's fonts lack.
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), size)
