"""All metrics at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from talksplat.compare.columns import Column
from talksplat.compare.data import ComparisonData
from talksplat.compare.load.groups import SeedGroup
from talksplat.compare.pictures.style import COLORS, save, shorten

LINE_INCHES = 0.22
FEW_PANELS, MANY_PANELS = 3, 5  # beside each other
MANY = 12  # lines from which on narrow panels save height, so that names are repeated less often
MAX_LINES = 30
INCHES = 12
DPI = 110  # as wide as the page


def plot_metrics(data: ComparisonData, path: Path) -> None:
    """Each metric that some run has, a line for each group of runs: a dot for each seed and a tick at their mean. The axes
    show the range of the values, as differences between variants are small compared with the values."""
    shown, words = data.pick(data.groups, MAX_LINES)
    runs = [run for group in shown for run in group.runs]
    columns = [c for c in data.metrics if any(c.value(run) is not None for run in runs)]
    if not columns:
        return data.notes.add("no plot of the metrics: no run has measured any")
    height = 1.0 + LINE_INCHES * len(shown)
    panels = FEW_PANELS if len(shown) <= MANY else MANY_PANELS
    rows = -(-len(columns) // panels)
    figure = Figure(figsize=(INCHES, height * rows), layout="constrained")
    grid = figure.subplots(rows, panels, squeeze=False, sharey=True)
    for axes, column in zip(grid.flat, columns):
        _draw(axes, column, shown, ticks=4 if panels == FEW_PANELS else 2)
    for inner in grid[:, 1:].flat:
        inner.yaxis.set_visible(False)
    for first in grid[:, 0]:
        first.set_yticks(range(len(shown)), [shorten(group.name) for group in shown], fontsize="small")
    grid[0, 0].set_ylim(len(shown) - 0.5, -0.5)
    for axes in list(grid.flat)[len(columns) :]:
        axes.set_axis_off()
    save(figure, path, dpi=DPI)
    if words:
        data.notes.add(f"{path.name} shows {words}")


def _draw(axes: Axes, column: Column, groups: Sequence[SeedGroup], ticks: int) -> None:
    dots, means = [], []
    for line, group in enumerate(groups):
        values = [value for run in group.runs if (value := column.value(run)) is not None]
        dots += [(value, line, COLORS[line % len(COLORS)]) for value in values]
        if values:
            means.append((fmean(values), line))
        else:
            axes.text(0.5, line, "n/a", va="center", ha="center", transform=axes.get_yaxis_transform())
    x, y, colors = zip(*dots)
    axes.scatter(x, y, c=colors, s=30, alpha=0.6, linewidths=0)
    axes.plot(*zip(*means), "|", color="black", markersize=12, linestyle="none")
    direction = f"\n({column.direction})" if column.direction else ""
    axes.set_title(f"{column.title}{direction}", fontsize="medium")
    axes.xaxis.set_major_locator(MaxNLocator(ticks))
    axes.tick_params(labelsize="small")
    axes.grid(axis="x", alpha=0.3)
    # One artist instead of a tick for each line and panel, which would take most of the time.
    across = axes.get_yaxis_transform()
    axes.hlines(range(len(groups)), 0, 1, colors="#E0E0E0", linewidth=0.8, transform=across, zorder=0)
