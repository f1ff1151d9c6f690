"""Which groups are shown where there are too many for a picture."""

from __future__ import annotations

from collections.abc import Sequence

from talksplat.compare.columns import Column, columns_of
from talksplat.compare.groups import SeedGroup
from talksplat.compare.seeds import summary

RANKED_BY = ("psnr_head", "psnr", "lpips")  # the first of these that a group has


def mean_of(column: Column, group: SeedGroup) -> float | None:
    """Mean over a group's runs; None where one of them has no value."""
    found = summary(column, group)
    return None if found is None else found[0]


def ranking_column(groups: Sequence[SeedGroup]) -> Column | None:
    """What groups are ranked by; None where they have none of it."""
    columns = {column.key: column for column in columns_of([run for group in groups for run in group.runs])}
    for name in RANKED_BY:
        column = columns.get(name)
        if column is not None and any(mean_of(column, group) is not None for group in groups):
            return column
    return None


def pick(groups: Sequence[SeedGroup], limit: int) -> tuple[list[SeedGroup], str]:
    """All groups in their order, or the best and the worst `limit` of them from best to worst.

    Returns:
        the groups, and words that say which they are; empty where all are shown.
    """
    if len(groups) <= limit:
        return list(groups), ""
    column = ranking_column(groups)
    if column is None:
        return list(groups[:limit]), f"the first {limit} of {len(groups)} groups"
    means = [(mean_of(column, group), group) for group in groups]
    known = [(mean, group) for mean, group in means if mean is not None]
    ranked = [group for _, group in sorted(known, key=lambda one: -column.better * one[0])]
    ranked += [group for mean, group in means if mean is None][: max(limit - len(ranked), 0)]
    best, worst = -(-limit // 2), limit // 2
    words = f"the {best} best and {worst} worst of {len(groups)} groups by {column.title}"
    return ranked[:best] + ranked[len(ranked) - worst :], words


def together(left_out: dict[str, list[str]], what: str) -> list[str]:
    """A line for each reason why names are left out of something: {reason: names}."""
    return [f"{_listed(names)} {what}: {reason}" for reason, names in left_out.items()]


def _listed(names: list[str], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more + (" are" if len(names) > 1 else " is")
