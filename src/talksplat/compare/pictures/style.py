"""What plots have in common: colours, legends, files."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from talksplat.compare.data import ComparisonData
from talksplat.compare.load.groups import SeedGroup
from talksplat.compare.pictures.captions import shorten
from talksplat.compare.pictures.selection import pick
from talksplat.files import write_bytes

WIDTH, DPI = 6.6, 160  # inches: half a page on a screen, a column in print
# Okabe and Ito's colours, which colour-blind people tell apart, without the yellow that white paper swallows. Markers and
# dashes say the same in a black-and-white print.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
GREY = "#B0B0B0"


@dataclass(frozen=True)
class GroupStyle:
    """How a group is drawn; coloured ones lie above grey ones."""

    color: str = GREY
    marker: str = "o"
    dash: str | tuple = "-"
    colored: bool = False
    order: int = 1


class PlotStyle:
    """The same style for a group in all plots. At most seven groups have a colour: all, or the best and the worst ones.

    Attributes:
        shown: groups in colour, in the order of the legend.
        words: which are in colour; empty where all are.
    """

    def __init__(self, data: ComparisonData) -> None:
        self.shown, self.words = pick(data, data.groups, len(COLORS))
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
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=dpi, format="png")
    write_bytes(path, buffer.getvalue())


def plain(axes: Axes) -> None:
    """A faint grid and no frame at the top and at the right."""
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
