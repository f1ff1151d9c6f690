"""Whether runs may stand in one table."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from talksplat.compare.load.run import RunResult
from talksplat.errors import UserError


def check_comparable(runs: Sequence[RunResult]) -> None:
    """Same subject, split, resolution, frames, head masks and meaning of each metric, among the runs that say so. Raises
    UserError, which names two runs that differ, how many are like either, in what, and what to do."""
    for key in ("subject", "split", "resolution"):
        _check_equal(runs, [run.metrics[key] for run in runs], key)
    _check_equal(runs, [run.frame_ids for run in runs], "frames", _span)
    _check_equal(runs, [(run.info.get("subject") or {}).get("head_masks") for run in runs], "folder of the head masks")
    for name in dict.fromkeys(name for run in runs for name in run.metrics["definitions"]):
        measured = [run for run in runs if run.mean(name) is not None]  # "n/a" compares with anything
        _check_equal(measured, [run.metrics["definitions"].get(name) for run in measured], f"meaning of {name}")
    _check_equal(runs, [(run.metrics.get("aligned") or {}).get("steps") for run in runs], "evaluation.align_steps")


def _check_equal(
    runs: Sequence[RunResult], values: Sequence[object], what: str, text: Callable[..., str] = repr
) -> None:
    """Refuse values that differ; None is unknown and equals anything."""
    alike: dict[str, list[tuple[str, object]]] = {}
    for run, value in zip(runs, values):
        if value is not None:
            alike.setdefault(repr(value), []).append((run.name, value))
    if len(alike) < 2:
        return
    ours, theirs = list(alike.values())[:2]
    names = [kind[0][0] + (f" (with {len(kind) - 1} like it)" if len(kind) > 1 else "") for kind in (ours, theirs)]
    raise UserError(
        f"runs {names[0]} and {names[1]} do not compare: {what} is {text(ours[0][1])} in the first and "
        f"{text(theirs[0][1])} in the second; leave one of them out of runs=, or measure both alike"
    )


def _span(ids: Sequence[int]) -> str:
    return f"{len(ids)} frames, {ids[0]} to {ids[-1]}" if ids else "no frames"
