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
    known = [index for index, value in enumerate(values) if value is not None]
    found: list[Mark] = [None] * len(values)
    if better == 0 or len(values) < 2 or not known:
        return found
    spreads = spreads or [None] * len(values)
    order = sorted(known, key=lambda index: -better * values[index])
    leaders = _tied(order, values, texts, spreads)
    rest = [index for index in order if index not in leaders]
    for index in leaders:
        found[index] = "best"
    if len(values) > 2 and rest:
        for index in _tied(rest, values, texts, spreads):
            found[index] = "second"
    return found


def _tied(order: list[int], values, texts, spreads) -> set[int]:
    """The first and what cannot be told from it."""
    first = order[0]
    tied = set()
    for index in order:
        spread = ((spreads[first] or 0) ** 2 + (spreads[index] or 0) ** 2) ** 0.5
        if texts[index] == texts[first] or abs(values[index] - values[first]) <= spread:
            tied.add(index)
    return tied


def ranks(values: Sequence[float], better: int) -> list[float]:
    """Ranks from 1 (best); equal values share the mean of their places."""
    ordered = sorted(values, key=lambda value: -better * value)
    return [ordered.index(value) + (ordered.count(value) + 1) / 2 for value in values]
