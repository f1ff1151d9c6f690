"""Whether runs may stand in one table."""

from __future__ import annotations

from collections.abc import Sequence

from talksplat.compare.run_result import RunResult
from talksplat.errors import UserError


def check_comparable(runs: Sequence[RunResult]) -> None:
    """Same subject, split, resolution, frames and meaning of each metric that both have measured.

    Raises:
        UserError: two runs that differ, in what, and what to do.
    """
    first = runs[0]
    for other in runs[1:]:
        for key in ("subject", "split", "resolution"):
            ours, theirs = first.metrics[key], other.metrics[key]
            if ours != theirs:
                raise UserError(_refusal(first, other, key, ours, theirs))
        if first.frame_ids != other.frame_ids:
            raise UserError(_refusal(first, other, "frames", _span(first), _span(other)))
        for name in sorted(set(first.metrics["definitions"]) & set(other.metrics["definitions"])):
            if first.mean(name) is None or other.mean(name) is None:
                continue  # "n/a" compares with anything
            ours, theirs = first.metrics["definitions"][name], other.metrics["definitions"][name]
            if ours != theirs:
                raise UserError(_refusal(first, other, f"meaning of {name}", ours, theirs))


def _refusal(first: RunResult, other: RunResult, what: str, ours: object, theirs: object) -> str:
    return (
        f"runs {first.name} and {other.name} do not compare: {what} is {ours!r} in the first and {theirs!r} in the "
        f"second; leave one of them out of runs=, or measure both alike"
    )


def _span(run: RunResult) -> str:
    ids = run.frame_ids
    return f"{len(ids)} frames, {ids[0]} to {ids[-1]}" if ids else "no frames"
