"""Quality against speed, with the Pareto front."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from talksplat.compare.columns import Column, Estimate
from talksplat.compare.data import ComparisonData
from talksplat.compare.load.groups import SeedGroup
from talksplat.compare.pictures.style import GREY, WIDTH, GroupStyle, PlotStyle, below, plain, save, shorten

METRICS = ("psnr", "psnr_head", "lpips", "lmd")
MAX_NAMED = 14  # numbers with their names below
DECADE_PART = 4  # a narrower range of speeds has ticks at round numbers rather than at 1, 2 and 5 times powers of ten


@dataclass(frozen=True)
class Point:
    """A group's speed and quality; `compares`: its speed was measured on the machine that the front is of."""

    group: SeedGroup
    fps: Estimate
    value: Estimate
    compares: bool


def plot_pareto(data: ComparisonData, style: PlotStyle, path: Path) -> None:
    """A panel for each metric that was measured: group means with bars of one standard deviation over seeds, and the front
    of those that are not beaten in speed and quality at once. Speeds compare on one machine only: groups that ran on
    another one are hollow and belong to no front. Not written where no group has a speed."""
    fps = data.columns["FPS"]
    for group in data.groups:
        if fps.summary(group) is None:
            absent = any(fps.value(run) is None for run in group.runs)
            reason = "no FPS was measured" if absent else "its runs had different hardware"
            data.notes.leave_out(group.name, "not in the plot of quality against speed", reason)
    panels = {name: points for name in METRICS if (points := points_of(data, data.columns[name]))}
    if not panels:
        return
    for name in dict.fromkeys(point.group.name for points in panels.values() for point in points if not point.compares):
        where = "hollow in the plot of quality against speed and no part of its front"
        data.notes.leave_out(name, where, "their speed is of another machine")
    fronts = {point.group.name for name, points in panels.items() for point in front_of(points, data.columns[name])}
    drawn = {point.group.name for points in panels.values() for point in points}
    # Members of fronts are named first, then coloured groups.
    wanted = [group.name for group in data.groups if group.name in fronts]
    wanted += [group.name for group in style.shown if group.name in drawn - fronts]
    named = [group.name for group in data.groups if group.name in wanted[:MAX_NAMED]]
    numbers = {name: number for number, name in enumerate(named, 1)}
    rows = -(-len(panels) // 2)
    figure = Figure(figsize=(WIDTH, 2.8 * rows + 0.6), layout="constrained")
    grid = figure.subplots(rows, min(len(panels), 2), squeeze=False)
    for axes, (name, points) in zip(grid.flat, panels.items()):
        _draw(axes, data.columns[name], points, style, numbers)
    for axes in list(grid.flat)[len(panels) :]:
        axes.set_axis_off()
    figure.suptitle(f"front of speeds on {main_hardware(data)}", fontsize=8)
    _legend(figure, data, style, numbers)
    save(figure, path)


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Positions of points that no other one beats: more is better in both coordinates, and no other point is at least as
    good in both and better in one. In the order of the first coordinate."""

    def beaten(x: float, y: float) -> bool:
        return any(a >= x and b >= y and (a, b) != (x, y) for a, b in points)

    return [i for i in sorted(range(len(points)), key=lambda i: points[i]) if not beaten(*points[i])]


def points_of(data: ComparisonData, column: Column) -> list[Point]:
    """Groups that have both a speed and a value of the column."""
    machine, points = main_hardware(data), []
    for group in data.groups:
        speed, value = data.columns["FPS"].summary(group), column.summary(group)
        if speed is not None and speed[0] > 0 and value is not None:
            points.append(Point(group, speed, value, group.runs[0].hardware == machine))
    return points


def front_of(points: Sequence[Point], column: Column) -> list[Point]:
    """The front of the points that compare, from slow to fast."""
    candidates = [point for point in points if point.compares]
    front = pareto_front([(point.fps[0], column.better * point.value[0]) for point in candidates])
    return [candidates[i] for i in front]


def main_hardware(data: ComparisonData) -> str | None:
    """The machine on which most groups have measured their speed; None where none has."""
    fast = [group for group in data.groups if data.columns["FPS"].summary(group) is not None]
    machines = Counter(group.runs[0].hardware for group in fast)
    return machines.most_common(1)[0][0] if machines else None


def _draw(axes: Axes, column: Column, points: Sequence[Point], style: PlotStyle, numbers: dict[str, int]) -> None:
    axes.set_xscale("log")
    # Points that are drawn alike, at once: one by one, dozens of grey ones take seconds.
    alike: dict[tuple[GroupStyle, bool], list[Point]] = {}
    for point in points:
        alike.setdefault((style.of(point.group), point.compares), []).append(point)
    for (look, compares), same in alike.items():
        (x, dx), (y, dy) = zip(*(point.fps for point in same)), zip(*(point.value for point in same))
        bars = ([math.nan if deviation is None else deviation for deviation in one] for one in (dy, dx))
        kind = {"color": look.color, "markerfacecolor": look.color if compares else "none", "zorder": look.order}
        axes.errorbar(x, y, *bars, look.marker, markersize=6, elinewidth=0.8, capsize=2, **kind)
    front = front_of(points, column)
    for point in points:
        number, place = numbers.get(point.group.name), (point.fps[0], point.value[0])
        if number is not None and (style.of(point.group).colored or point in front):
            axes.annotate(str(number), place, (5, 4), textcoords="offset points", fontsize=8, zorder=5)
    if front:  # steps: up to a member's speed its quality can be had, up to the edges of the panel
        (left, _), (low, high) = axes.get_xlim(), axes.get_ylim()
        x = [left, *(point.fps[0] for point in front), front[-1].fps[0]]
        y = [front[0].value[0], *(point.value[0] for point in front), low if column.better > 0 else high]
        axes.plot(x, y, drawstyle="steps-pre", color="#404040", linewidth=1, linestyle="--", zorder=0)
        axes.set_xlim(left, None)
        axes.set_ylim(low, high)
    speeds = [point.fps[0] for point in points]
    wide = max(speeds) > DECADE_PART * min(speeds)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)) if wide else MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("frames/s", fontsize=8)
    axes.set_ylabel(f"{column.title} ({column.direction})", fontsize=8)
    plain(axes)


def _legend(figure: Figure, data: ComparisonData, style: PlotStyle, numbers: dict[str, int]) -> None:
    handles = []
    for group in (group for group in data.groups if group.name in numbers):
        label, look = f"{numbers[group.name]}  {shorten(group.name)}", style.of(group)
        handles.append(
            Line2D([], [], color=look.color, marker=look.marker, linestyle="none", markersize=5, label=label)
        )
    if len(data.groups) > len(style.shown):
        handles.append(Line2D([], [], color=GREY, marker="o", linestyle="none", label="other groups"))
    handles.append(Line2D([], [], color="#404040", linestyle="--", label="Pareto front"))
    below(figure, handles)
