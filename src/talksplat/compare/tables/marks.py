"""Which values of a column are best and second best, and mean ranks over metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

Mark = Literal["best", "second"] | None
RULE = (
    "bold: the best mean, and every mean that is no farther from it than one standard deviation of the difference between "
    "two runs with different seeds (the root of the sum of both groups' squared deviations; a group of one seed counts as "
    "without any); underlined: the next best"
)


def marks(
    values: Sequence[float | None], texts: Sequence[str], better: int, spreads: Sequence[float | None] = ()
) -> list[Mark]:
    """Marks of a column.

    Args:
        values: means; None is not ranked.
        texts: how they are printed: what looks the same is marked the same.
        better: +1 where more is better, -1 where less is; 0 marks nothing.
        spreads: standard deviations over seeds, where known: values that differ by less share a mark.
    """
    spread = [deviation or 0 for deviation in spreads] or [0] * len(values)
    found: list[Mark] = [None] * len(values)
    left = sorted((i for i, value in enumerate(values) if value is not None), key=lambda i: -better * values[i])

    def alike(i: int, first: int) -> bool:
        near = abs(values[i] - values[first]) <= (spread[first] ** 2 + spread[i] ** 2) ** 0.5
        return near or texts[i] == texts[first]

    # Of two values the other needs no mark, and a single one is no best.
    for mark in ("best", "second")[: len(values) - 1] if better else ():
        for i in [i for i in left if alike(i, left[0])]:
            found[i] = mark
        left = [i for i in left if found[i] is None]
    return found


def ranks(values: Sequence[float], better: int) -> list[float]:
    """Ranks from 1 (best); equal values share the mean of their places."""
    ordered = sorted(values, key=lambda value: -better * value)
    return [ordered.index(value) + (ordered.count(value) + 1) / 2 for value in values]
