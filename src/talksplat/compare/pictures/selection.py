"""Which groups are shown where there are too many for a picture."""

from __future__ import annotations

from collections.abc import Sequence

from talksplat.compare.columns import Column
from talksplat.compare.data import ComparisonData
from talksplat.compare.load.groups import SeedGroup

RANKED_BY = ("psnr_head", "psnr", "lpips")  # the first of these that a group has


def ranking_column(data: ComparisonData, groups: Sequence[SeedGroup]) -> Column | None:
    """What groups are ranked by; None where they have none of it."""
    columns = (data.columns[name] for name in RANKED_BY)
    return next((c for c in columns if any(c.mean(group) is not None for group in groups)), None)


def pick(data: ComparisonData, groups: Sequence[SeedGroup], limit: int) -> tuple[list[SeedGroup], str]:
    """All groups in their order, or the best and the worst `limit` of them from best to worst.

    Returns:
        the groups, and words that say which they are; empty where all are shown.
    """
    if len(groups) <= limit:
        return list(groups), ""
    column = ranking_column(data, groups)
    if column is None:
        return list(groups[:limit]), f"the first {limit} of {len(groups)} groups"
    known = [group for group in groups if column.mean(group) is not None]
    ranked = sorted(known, key=lambda group: -column.better * column.mean(group))
    ranked += [group for group in groups if group not in known][: max(limit - len(ranked), 0)]
    best, worst = -(-limit // 2), limit // 2
    words = f"the {best} best and {worst} worst of {len(groups)} groups by {column.title}"
    return ranked[:best] + ranked[len(ranked) - worst :], words
