"""Whether runs may stand in one table."""

from __future__ import annotations

from collections.abc import Sequence

from talksplat.compare.run_result import RunResult
from talksplat.errors import UserError

CHOSEN_ON = {
    "test": "the test frames themselves (dataset.split=paper)",
    "val": "validation frames (dataset.split=three)",
}


def check_comparable(runs: Sequence[RunResult]) -> None:
    """Same subject, split, resolution, frames, head masks and meaning of each metric, among the runs that say so.

    Raises:
        UserError: two runs that differ, how many are like either, in what, and what to do.
    """
    for key in ("subject", "resolution"):
        _check_equal(runs, [run.metrics[key] for run in runs], key)
    _check_equal(runs, [run.split for run in runs], "split")
    _check_equal(runs, [run.frame_ids for run in runs], "frames", [_span(run) for run in runs])
    _check_equal(runs, [(run.info.get("subject") or {}).get("head_masks") for run in runs], "folder of the head masks")
    for name in dict.fromkeys(name for run in runs for name in run.metrics["definitions"]):
        measured = [run for run in runs if run.mean(name) is not None]  # "n/a" compares with anything
        _check_equal(measured, [run.metrics["definitions"].get(name) for run in measured], f"meaning of {name}")
    _check_equal(runs, [(run.metrics.get("aligned") or {}).get("steps") for run in runs], "evaluation.align_steps")


def chosen_remark(runs: Sequence[RunResult]) -> str:
    """Which split chose among checkpoints and trials of these runs; where they differ, which runs by which."""
    by_split = {split: [run for run in runs if run.chosen_on == split] for split in CHOSEN_ON}
    found = {split: some for split, some in by_split.items() if some}
    if not found:
        return ""
    if len(found) == 1:
        return f"What chooses (previews, best.ckpt, searches) looked at {CHOSEN_ON[next(iter(found))]}."
    names = " and ".join(f"{CHOSEN_ON[split]} in {_named(some, [*range(len(some))])}" for split, some in found.items())
    return (
        f"What chooses (previews, best.ckpt, searches) looked at {names}: they were trained on different frames and chosen "
        "by different ones, so that ranks between them tell little."
    )


def _check_equal(
    runs: Sequence[RunResult], values: Sequence[object], what: str, texts: Sequence[str] | None = None
) -> None:
    """Refuse values that differ; None is unknown and equals anything."""
    kinds: dict[str, list[int]] = {}
    for index, value in enumerate(values):
        if value is not None:
            kinds.setdefault(repr(value), []).append(index)
    if len(kinds) < 2:
        return
    ours, theirs = list(kinds.values())[:2]
    shown = [texts[kind[0]] if texts else repr(values[kind[0]]) for kind in (ours, theirs)]
    raise UserError(
        f"runs {_named(runs, ours)} and {_named(runs, theirs)} do not compare: {what} is {shown[0]} in the first and "
        f"{shown[1]} in the second; leave one of them out of runs=, or measure both alike"
    )


def _named(runs: Sequence[RunResult], like: Sequence[int]) -> str:
    return runs[like[0]].name + (f" (with {len(like) - 1} like it)" if len(like) > 1 else "")


def _span(run: RunResult) -> str:
    ids = run.frame_ids
    return f"{len(ids)} frames, {ids[0]} to {ids[-1]}" if ids else "no frames"
