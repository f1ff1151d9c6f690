"""All that is compared, read and grouped once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from talksplat.compare.columns import Column, columns_of
from talksplat.compare.document import Notes, Section
from talksplat.compare.load.comparability import check_comparable
from talksplat.compare.load.groups import SeedGroup, seed_groups
from talksplat.compare.load.run import RunResult
from talksplat.errors import UserError


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
            "split": metrics["split"],
            "frames": str(len(metrics["frames"])),
            "resolution": "x".join(map(str, metrics["resolution"])),
            "hardware": ", ".join(dict.fromkeys(run.hardware for run in self.runs if run.hardware)),
        }
