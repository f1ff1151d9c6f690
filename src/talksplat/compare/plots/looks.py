"""What plots have in common: colours, legends, files."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from talksplat.compare.captions import shorten
from talksplat.compare.groups import SeedGroup
from talksplat.compare.shown import pick
from talksplat.files import write_bytes

WIDTH, DPI = 6.6, 160  # inches: half a page on a screen, a column in print
# Okabe and Ito's colours, which colour-blind people tell apart, without the yellow that white paper swallows. Markers and
# dashes say the same in a black-and-white print.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
GREY = "#B0B0B0"


@dataclass(frozen=True)
class Look:
    """How a group is drawn."""

    color: str = GREY
    marker: str = "o"
    dash: str | tuple = "-"
    colored: bool = False

    @property
    def order(self) -> int:
        """Coloured ones lie above grey ones."""
        return 3 if self.colored else 1


class Looks:
    """The same look for a group in all plots. At most seven groups have a colour: all, or the best and the worst ones.

    Attributes:
        shown: groups in colour, in the order of the legend.
        others: groups in grey.
        words: which are in colour; empty where all are.
    """

    def __init__(self, groups: Sequence[SeedGroup]) -> None:
        self.shown, self.words = pick(groups, len(COLORS))
        self.others = [group for group in groups if not any(group is one for one in self.shown)]
        kinds = zip(COLORS, MARKERS, DASHES)
        self._looks = {id(group): Look(*kind, colored=True) for group, kind in zip(self.shown, kinds)}

    def of(self, group: SeedGroup) -> Look:
        """Look of a group."""
        return self._looks.get(id(group), Look())

    def legend(self, figure: Figure, drawn: Sequence[SeedGroup]) -> None:
        """One entry for each coloured group that was drawn, and one for all grey ones, below the plot."""
        handles = []
        for group in self.shown:
            if any(group is one for one in drawn):
                look = self.of(group)
                line = Line2D([], [], color=look.color, linestyle=look.dash, marker=look.marker, markersize=4)
                line.set_label(shorten(group.name))
                handles.append(line)
        grey = sum(not any(group is one for one in self.shown) for group in drawn)
        if grey:
            handles.append(Line2D([], [], color=GREY, label=f"{grey} other groups"))
        if handles:
            figure.legend(
                handles=handles, loc="outside lower center", ncols=2, fontsize=8, frameon=False, handlelength=3.2
            )


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
