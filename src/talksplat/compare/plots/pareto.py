"""Quality against speed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from talksplat.compare.captions import shorten
from talksplat.compare.columns import Column, columns_of
from talksplat.compare.front import Point, front_of, main_hardware, points_of, without_speed
from talksplat.compare.groups import SeedGroup
from talksplat.compare.plots.looks import GREY, WIDTH, Look, Looks, plain, save
from talksplat.compare.shown import together

METRICS = ("psnr", "psnr_head", "lpips", "lmd")
MAX_NAMED = 14  # numbers with their names below
DECADE_PART = 4  # a narrower range of speeds has ticks at round numbers rather than at 1, 2 and 5 times powers of ten


def plot_pareto(groups: Sequence[SeedGroup], looks: Looks, path: Path) -> list[str]:
    """A panel for each metric that was measured: group means with bars of one standard deviation over seeds, and the front
    of those that are not beaten in speed and quality at once. Speeds compare on one machine only: groups that ran on
    another one are hollow and belong to no front. Not written where no group has a speed.

    Returns:
        what is left out, and why.
    """
    notes = together(without_speed(groups), "not in the plot of quality against speed")
    columns = {column.metric: column for column in columns_of([run for group in groups for run in group.runs])}
    panels = [(columns[name], points) for name in METRICS if (points := points_of(groups, columns[name]))]
    if not panels:
        return notes
    fronts = [front_of(points, column) for column, points in panels]
    numbers = _numbers(groups, looks, fronts, panels)
    rows = -(-len(panels) // 2)
    figure = Figure(figsize=(WIDTH, 2.8 * rows + 0.6), layout="constrained")
    grid = figure.subplots(rows, min(len(panels), 2), squeeze=False)
    for axes, (column, points), front in zip(grid.flat, panels, fronts):
        _draw(axes, column, points, front, looks, numbers)
    for axes in list(grid.flat)[len(panels) :]:
        axes.set_axis_off()
    figure.suptitle(f"front of speeds on {main_hardware(groups)}", fontsize=8)
    _legend(figure, looks, numbers)
    save(figure, path)
    foreign = [point.group.name for _, points in panels for point in points if not point.compares]
    return notes + together(
        {"their speed is of another machine": list(dict.fromkeys(foreign))} if foreign else {},
        "hollow in the plot of quality against speed and no part of its front",
    )


def _numbers(
    groups: Sequence[SeedGroup],
    looks: Looks,
    fronts: Sequence[Sequence[Point]],
    panels: Sequence[tuple[Column, Sequence[Point]]],
) -> dict[int, tuple[int, SeedGroup]]:
    """{id of a group: its number and itself}, of those that are named: members of fronts first, then coloured groups."""
    shown = {id(point.group) for _, points in panels for point in points}
    members = {id(point.group) for front in fronts for point in front}
    wanted = [group for group in groups if id(group) in members]
    wanted += [group for group in looks.shown if id(group) in shown - members]
    named = {id(group) for group in wanted[:MAX_NAMED]}
    ordered = [group for group in groups if id(group) in named]
    return {id(group): (number, group) for number, group in enumerate(ordered, 1)}


def _draw(
    axes: Axes,
    column: Column,
    points: Sequence[Point],
    front: Sequence[Point],
    looks: Looks,
    numbers: dict[int, tuple[int, SeedGroup]],
) -> None:
    axes.set_xscale("log")
    members = {id(point.group) for point in front}
    for look, compares, alike in _by_look(points, looks):
        (x, dx), (y, dy) = zip(*(point.fps for point in alike)), zip(*(point.value for point in alike))
        face = look.color if compares else "none"
        style = {"markersize": 6, "elinewidth": 0.8, "capsize": 2, "zorder": look.order}
        axes.errorbar(x, y, _bars(dy), _bars(dx), look.marker, color=look.color, markerfacecolor=face, **style)
    for point in points:
        if id(point.group) in numbers and (looks.of(point.group).colored or id(point.group) in members):
            place = (point.fps[0], point.value[0])
            text = str(numbers[id(point.group)][0])
            axes.annotate(text, place, (5, 4), textcoords="offset points", fontsize=8, zorder=5)
    _draw_front(axes, front, column.better)
    _ticks(axes, [point.fps[0] for point in points])
    axes.set_xlabel("frames/s", fontsize=8)
    axes.set_ylabel(f"{column.title} ({'higher' if column.better > 0 else 'lower'} is better)", fontsize=8)
    plain(axes)


def _by_look(points: Sequence[Point], looks: Looks) -> Iterator[tuple[Look, bool, list[Point]]]:
    """Points that are drawn alike, at once: one by one, dozens of grey ones take seconds."""
    found: dict[tuple[Look, bool], list[Point]] = {}
    for point in points:
        found.setdefault((looks.of(point.group), point.compares), []).append(point)
    return ((look, compares, alike) for (look, compares), alike in found.items())


def _bars(deviations: Sequence[float | None]) -> list[float]:
    return [math.nan if deviation is None else deviation for deviation in deviations]


def _draw_front(axes: Axes, front: Sequence[Point], better: int) -> None:
    """Steps: up to a member's speed its quality can be had. They go on to the edges of the panel."""
    if not front:
        return
    (left, _), (low, high) = axes.get_xlim(), axes.get_ylim()
    worst = low if better > 0 else high
    x = [left, *(point.fps[0] for point in front), front[-1].fps[0]]
    y = [front[0].value[0], *(point.value[0] for point in front), worst]
    axes.plot(x, y, drawstyle="steps-pre", color="#404040", linewidth=1, linestyle="--", zorder=0)
    axes.set_xlim(left, None)
    axes.set_ylim(low, high)


def _ticks(axes: Axes, speeds: Sequence[float]) -> None:
    wide = max(speeds) > DECADE_PART * min(speeds)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)) if wide else MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def _legend(figure: Figure, looks: Looks, numbers: dict[int, tuple[int, SeedGroup]]) -> None:
    handles = []
    for number, group in numbers.values():
        look = looks.of(group)
        line = Line2D([], [], color=look.color, marker=look.marker, linestyle="none", markersize=5)
        line.set_label(f"{number}  {shorten(group.name)}")
        handles.append(line)
    if looks.others:
        handles.append(Line2D([], [], color=GREY, marker="o", linestyle="none", label="other groups"))
    handles.append(Line2D([], [], color="#404040", linestyle="--", label="Pareto front"))
    figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=8, frameon=False)
