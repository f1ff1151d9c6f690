"""A column with the mean rank over metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from talksplat.compare.columns import Column
from talksplat.compare.marks import marks, ranks
from talksplat.compare.table import Cell, ComparisonTable

RANK = "average rank"


def add_ranks(
    table: ComparisonTable, columns: Sequence[Column], means_of: Callable[[Column], Sequence[float | None]]
) -> None:
    """Append each row's mean rank over the metrics that every row has; values that are printed alike share a rank.

    Args:
        columns: those with a metric are ranked.
        means_of: a column's value in each row.
    """
    ranked, sums = [], [0.0] * len(table.rows)
    for column in columns:
        means = means_of(column) if column.metric and column.better else [None]
        if None not in means:
            places = ranks([round(mean, column.digits) for mean in means], column.better)
            sums = [total + place for total, place in zip(sums, places)]
            ranked.append(column.title)
    if not ranked or len(table.rows) < 2:
        return
    means = [total / len(ranked) for total in sums]
    texts = [f"{mean:.2f}" for mean in means]
    table.titles.append(RANK)
    for row, text, mark in zip(table.rows, texts, marks(means, texts, -1)):
        row.append(Cell(text, mark))
    table.remarks.append(
        f"{RANK}: mean of the ranks (1: best) in {', '.join(ranked)}, each counted once, so that what is measured in several "
        "ways weighs more; it knows nothing of spread"
    )
