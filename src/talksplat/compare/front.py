"""What cannot be had better without being slower."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from talksplat.compare.columns import Column, columns_of
from talksplat.compare.groups import SeedGroup
from talksplat.compare.seeds import summary

Estimate = tuple[float, float | None]  # mean and standard deviation over seeds, where there is more than one


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
    order = sorted(range(len(points)), key=lambda i: points[i])

    def beaten(i: int) -> bool:
        x, y = points[i]
        return any(a >= x and b >= y and (a, b) != (x, y) for a, b in points)

    return [i for i in order if not beaten(i)]


def front_of(points: Sequence[Point], column: Column) -> list[Point]:
    """The front of the points that compare, from slow to fast."""
    candidates = [point for point in points if point.compares]
    pairs = [(point.fps[0], column.better * point.value[0]) for point in candidates]
    return [candidates[i] for i in pareto_front(pairs)]


def points_of(groups: Sequence[SeedGroup], column: Column) -> list[Point]:
    """Groups that have both a speed and a value of the column."""
    fps = _speed_column(groups)
    machine = main_hardware(groups)
    found = []
    for group in groups:
        speed, value = summary(fps, group), summary(column, group)
        if speed is not None and speed[0] > 0 and value is not None:
            found.append(Point(group, speed, value, group.runs[0].hardware == machine))
    return found


def main_hardware(groups: Sequence[SeedGroup]) -> str | None:
    """The machine on which most groups have measured their speed; None where none has."""
    fps = _speed_column(groups)
    machines = Counter(group.runs[0].hardware for group in groups if summary(fps, group) is not None)
    return machines.most_common(1)[0][0] if machines else None


def without_speed(groups: Sequence[SeedGroup]) -> dict[str, list[str]]:
    """{reason: groups that have no speed}."""
    fps, left_out = _speed_column(groups), {}
    for group in groups:
        if summary(fps, group) is None:
            absent = any(fps.value(run) is None for run in group.runs)
            reason = "no FPS was measured" if absent else "its runs had different hardware"
            left_out.setdefault(reason, []).append(group.name)
    return left_out


def _speed_column(groups: Sequence[SeedGroup]) -> Column:
    columns = columns_of([run for group in groups for run in group.runs])
    return next(column for column in columns if column.key == "FPS")
