"""Quality against speed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from talksplat.compare.columns import Column
from talksplat.compare.data import ComparisonData
from talksplat.compare.load.groups import SeedGroup
from talksplat.compare.pictures.captions import shorten
from talksplat.compare.pictures.selection import together
from talksplat.compare.pictures.style import GREY, WIDTH, GroupStyle, PlotStyle, below, plain, save
from talksplat.compare.tables.pareto import Point, front_of, main_hardware, points_of, without_speed

METRICS = ("psnr", "psnr_head", "lpips", "lmd")
MAX_NAMED = 14  # numbers with their names below
DECADE_PART = 4  # a narrower range of speeds has ticks at round numbers rather than at 1, 2 and 5 times powers of ten


@dataclass(frozen=True)
class _Panel:
    """A metric, the groups that have it, and those of its front."""

    column: Column
    points: list[Point]
    front: list[Point]

    @property
    def members(self) -> set[str]:
        """Names of the groups of the front."""
        return {point.group.name for point in self.front}


def plot_pareto(data: ComparisonData, style: PlotStyle, path: Path) -> list[str]:
    """A panel for each metric that was measured: group means with bars of one standard deviation over seeds, and the front
    of those that are not beaten in speed and quality at once. Speeds compare on one machine only: groups that ran on
    another one are hollow and belong to no front. Not written where no group has a speed.

    Returns:
        what is left out, and why.
    """
    notes = together(without_speed(data), "not in the plot of quality against speed")
    found = ((data.columns[name], points_of(data, data.columns[name])) for name in METRICS)
    panels = [_Panel(column, points, front_of(points, column)) for column, points in found if points]
    if not panels:
        return notes
    numbers = _numbers(data, style, panels)
    rows = -(-len(panels) // 2)
    figure = Figure(figsize=(WIDTH, 2.8 * rows + 0.6), layout="constrained")
    grid = figure.subplots(rows, min(len(panels), 2), squeeze=False)
    for axes, panel in zip(grid.flat, panels):
        _draw(axes, panel, style, numbers)
    for axes in list(grid.flat)[len(panels) :]:
        axes.set_axis_off()
    figure.suptitle(f"front of speeds on {main_hardware(data)}", fontsize=8)
    _legend(figure, data, style, numbers)
    save(figure, path)
    elsewhere = dict.fromkeys(point.group.name for panel in panels for point in panel.points if not point.compares)
    reason = {"their speed is of another machine": list(elsewhere)} if elsewhere else {}
    return notes + together(reason, "hollow in the plot of quality against speed and no part of its front")


def _numbers(data: ComparisonData, style: PlotStyle, panels: Sequence[_Panel]) -> dict[str, int]:
    """{name of a group: its number}, of those that are named: members of fronts first, then coloured groups."""
    members = set().union(*(panel.members for panel in panels))
    others = {point.group.name for panel in panels for point in panel.points} - members
    wanted = [group.name for group in data.groups if group.name in members]
    wanted += [group.name for group in style.shown if group.name in others]
    ordered = [group.name for group in data.groups if group.name in wanted[:MAX_NAMED]]
    return {name: number for number, name in enumerate(ordered, 1)}


def _draw(axes: Axes, panel: _Panel, style: PlotStyle, numbers: dict[str, int]) -> None:
    axes.set_xscale("log")
    # Points that are drawn alike, at once: one by one, dozens of grey ones take seconds.
    alike: dict[tuple[GroupStyle, bool], list[Point]] = {}
    for point in panel.points:
        alike.setdefault((style.of(point.group), point.compares), []).append(point)
    for (look, compares), points in alike.items():
        (x, dx), (y, dy) = zip(*(point.fps for point in points)), zip(*(point.value for point in points))
        kind = {"color": look.color, "markerfacecolor": look.color if compares else "none", "zorder": look.order}
        axes.errorbar(x, y, _bars(dy), _bars(dx), look.marker, markersize=6, elinewidth=0.8, capsize=2, **kind)
    for point in panel.points:
        name, place = point.group.name, (point.fps[0], point.value[0])
        if name in numbers and (style.of(point.group).colored or name in panel.members):
            axes.annotate(str(numbers[name]), place, (5, 4), textcoords="offset points", fontsize=8, zorder=5)
    _draw_front(axes, panel.front, panel.column.better)
    _ticks(axes, [point.fps[0] for point in panel.points])
    axes.set_xlabel("frames/s", fontsize=8)
    axes.set_ylabel(f"{panel.column.title} ({panel.column.direction})", fontsize=8)
    plain(axes)


def _bars(deviations: Sequence[float | None]) -> list[float]:
    return [math.nan if deviation is None else deviation for deviation in deviations]


def _draw_front(axes: Axes, front: Sequence[Point], better: int) -> None:
    """Steps: up to a member's speed its quality can be had. They reach the edges of the panel."""
    if not front:
        return
    (left, _), (low, high) = axes.get_xlim(), axes.get_ylim()
    x = [left, *(point.fps[0] for point in front), front[-1].fps[0]]
    y = [front[0].value[0], *(point.value[0] for point in front), low if better > 0 else high]
    axes.plot(x, y, drawstyle="steps-pre", color="#404040", linewidth=1, linestyle="--", zorder=0)
    axes.set_xlim(left, None)
    axes.set_ylim(low, high)


def _ticks(axes: Axes, speeds: Sequence[float]) -> None:
    wide = max(speeds) > DECADE_PART * min(speeds)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)) if wide else MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def _legend(figure: Figure, data: ComparisonData, style: PlotStyle, numbers: dict[str, int]) -> None:
    named: list[tuple[SeedGroup, int]] = [(g, numbers[g.name]) for g in data.groups if g.name in numbers]
    dots = [(style.of(group), f"{number}  {shorten(group.name)}") for group, number in named]
    handles = [
        Line2D([], [], color=look.color, marker=look.marker, linestyle="none", markersize=5, label=label)
        for look, label in dots
    ]
    if len(data.groups) > len(style.shown):
        handles.append(Line2D([], [], color=GREY, marker="o", linestyle="none", label="other groups"))
    handles.append(Line2D([], [], color="#404040", linestyle="--", label="Pareto front"))
    below(figure, handles)
