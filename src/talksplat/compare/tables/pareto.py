"""Pareto front of quality against speed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from talksplat.compare.columns import Column, Estimate
from talksplat.compare.data import ComparisonData
from talksplat.compare.load.groups import SeedGroup


@dataclass(frozen=True)
class Point:
    """A group's speed and quality; `compares`: its speed was measured on the machine that the front is of."""

    group: SeedGroup
    fps: Estimate
    value: Estimate
    compares: bool


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Positions of points that no other one beats: more is better in both coordinates, and no other point is at least as
    good in both and better in one. In the order of the first coordinate."""

    def beaten(x: float, y: float) -> bool:
        return any(a >= x and b >= y and (a, b) != (x, y) for a, b in points)

    return [i for i in sorted(range(len(points)), key=lambda i: points[i]) if not beaten(*points[i])]


def front_of(points: Sequence[Point], column: Column) -> list[Point]:
    """The front of the points that compare, from slow to fast."""
    candidates = [point for point in points if point.compares]
    pairs = [(point.fps[0], column.better * point.value[0]) for point in candidates]
    return [candidates[i] for i in pareto_front(pairs)]


def points_of(data: ComparisonData, column: Column) -> list[Point]:
    """Groups that have both a speed and a value of the column."""
    machine, found = main_hardware(data), []
    for group in data.groups:
        speed, value = data.columns["FPS"].summary(group), column.summary(group)
        if speed is not None and speed[0] > 0 and value is not None:
            found.append(Point(group, speed, value, group.runs[0].hardware == machine))
    return found


def main_hardware(data: ComparisonData) -> str | None:
    """The machine on which most groups have measured their speed; None where none has."""
    fps = data.columns["FPS"]
    machines = Counter(group.runs[0].hardware for group in data.groups if fps.summary(group) is not None)
    return machines.most_common(1)[0][0] if machines else None


def without_speed(data: ComparisonData) -> dict[str, list[str]]:
    """{reason: groups that have no speed}."""
    fps, left_out = data.columns["FPS"], {}
    for group in data.groups:
        if fps.summary(group) is None:
            absent = any(fps.value(run) is None for run in group.runs)
            reason = "no FPS was measured" if absent else "its runs had different hardware"
            left_out.setdefault(reason, []).append(group.name)
    return left_out
