"""All that is compared, read and grouped once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from talksplat.compare.columns import Column, columns_of
from talksplat.compare.document import Notes, Section
from talksplat.compare.load.groups import SeedGroup, seed_groups
from talksplat.compare.load.run import RunResult
from talksplat.compare.load.runs import check_comparable
from talksplat.errors import UserError

RANKED_BY = ("psnr_head", "psnr", "lpips")  # the first of these that a group has


@dataclass(eq=False)
class ComparisonData:
    """Runs over the same frames. Raises UserError where they do not compare.

    Args:
        runs: all of them, videos of other projects included.
        left_out: what else was asked for, and why it is not among them.
        named: group or run that is named as the reference of the others.
        notes, sections: what there is to say about them.
    """

    runs: Sequence[RunResult]
    left_out: list[str] = field(default_factory=list)
    named: str | None = None
    notes: Notes = field(default_factory=Notes)
    sections: list[Section] = field(default_factory=list)

    def __post_init__(self) -> None:
        check_comparable(self.runs)

    @cached_property
    def groups(self) -> list[SeedGroup]:
        """Runs alike but for the seed."""
        return seed_groups(self.runs)

    @cached_property
    def grouped(self) -> list[RunResult]:
        """Runs that count in a group."""
        return [run for group in self.groups for run in group.runs]

    @cached_property
    def columns(self) -> dict[str, Column]:
        """Columns by their key."""
        return columns_of(self.runs)

    @cached_property
    def metrics(self) -> list[Column]:
        """Columns of metrics that some run has."""
        return [c for c in self.columns.values() if c.metric and any(c.value(run) is not None for run in self.grouped)]

    @cached_property
    def has_repeats(self) -> bool:
        """Whether there is a deviation over seeds to speak of."""
        return any(len(group.runs) > 1 for group in self.groups)

    @cached_property
    def reference(self) -> SeedGroup:
        """The group of the given name, or that holds the run of that name; by default the whole model of an ablation (an
        experiment `.../full`), else the first. Raises UserError, which names the groups, where there is no such group."""
        if self.named is None:
            whole = (group for group in self.groups if (group.runs[0].experiments or [""])[-1].endswith("/full"))
            return next(whole, self.groups[0])
        for group in self.groups:
            if self.named in (group.name, *(run.name for run in (*group.runs, *group.repeated))):
                return group
        names = ", ".join(repr(group.name) for group in self.groups)
        raise UserError(f"reference={self.named}: there is no group or run of that name; the groups are {names}")

    @cached_property
    def facts(self) -> dict[str, str]:
        """What is compared: subject, split, frames, resolution, hardware."""
        metrics = self.runs[0].metrics
        return {
            "subject": str(metrics["subject"]),
            "split": self.runs[0].split,
            "chosen_on": " and ".join(f"{s} frames" for s in dict.fromkeys(run.chosen_on for run in self.runs) if s),
            "frames": str(len(metrics["frames"])),
            "resolution": "x".join(map(str, metrics["resolution"])),
            "hardware": ", ".join(dict.fromkeys(run.hardware for run in self.runs if run.hardware)),
        }

    def ranking_column(self, groups: Sequence[SeedGroup]) -> Column | None:
        """What groups are ranked by; None where they have none of it."""
        columns = (self.columns[name] for name in RANKED_BY)
        return next((c for c in columns if any(c.mean(group) is not None for group in groups)), None)

    def pick(self, groups: Sequence[SeedGroup], limit: int) -> tuple[list[SeedGroup], str]:
        """All groups in their order, or the best and the worst `limit` of them from best to worst; and words that say which
        they are, empty where all are shown."""
        if len(groups) <= limit:
            return list(groups), ""
        column = self.ranking_column(groups)
        if column is None:
            return list(groups[:limit]), f"the first {limit} of {len(groups)} groups"
        known = [group for group in groups if column.mean(group) is not None]
        ranked = sorted(known, key=lambda group: -column.better * column.mean(group))
        ranked += [group for group in groups if group not in known][: max(limit - len(ranked), 0)]
        best, worst = -(-limit // 2), limit // 2
        words = f"the {best} best and {worst} worst of {len(groups)} groups by {column.title}"
        return ranked[:best] + ranked[len(ranked) - worst :], words
