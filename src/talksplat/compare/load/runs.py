"""The runs that a comparison is asked for, and whether they compare; what cannot be used is left out and named."""

from __future__ import annotations

import csv
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from talksplat.compare.load.discover import find_runs, run_names
from talksplat.compare.load.run import RunResult, read_run
from talksplat.errors import UserError, printable

logger = logging.getLogger(__name__)
STATUS = "status.csv"  # of a sweep


def read_runs(specs: Sequence[str]) -> tuple[list[RunResult], list[str]]:
    """Runs that can be read, under short names, and what was left out and why.

    A run that is not finished, half-written or of another version is left out as long as another one remains; where none
    does, UserError has the reason of the first. The specs are run folders, folders that hold some, or globs.
    """
    folders, left_out = find_runs(specs)
    runs: list[RunResult] = []
    errors: dict[str, UserError] = {}
    for folder, name in zip(folders, run_names(folders)):
        try:
            runs.append(read_run(folder, name))
        except UserError as error:
            errors[name] = error
    if not runs:
        more = f" (and {len(errors) - 1} more runs that cannot be used)" if len(errors) > 1 else ""
        raise UserError(f"{next(iter(errors.values()))}{more}")
    runs, others = _of_one_version(runs)
    left_out = [*left_out, *(f"{name}: {error}" for name, error in errors.items()), *others]
    left_out += unfinished_jobs([*(Path(spec).expanduser() for spec in specs), *folders])
    for line in left_out:
        logger.warning("left out: %s", line)
    return runs, left_out


def _of_one_version(runs: list[RunResult]) -> tuple[list[RunResult], list[str]]:
    """Runs whose metrics mean what they mean in most runs, of those that another commit wrote. What one commit measured in
    two ways was asked for in two ways, and is refused later on."""
    left_out = []
    for name in dict.fromkeys(name for run in runs for name in run.metrics["definitions"]):
        meanings = {run: run.metrics["definitions"].get(name) for run in runs if run.mean(name) is not None}
        usual = Counter(meanings.values()).most_common(1)
        commits = {run.commit for run, text in meanings.items() if text == usual[0][0]}
        for run, text in meanings.items():
            if text != usual[0][0] and run.commit is not None and run.commit not in commits:
                runs = [other for other in runs if other is not run]
                left_out.append(
                    f"{run.name}: another version measured it (commit {run.commit[:7]}): {name} has another meaning there "
                    f"than in the other runs ({text!r}); measure it again to compare it"
                )
    return runs, left_out


def unfinished_jobs(folders: Iterable[Path]) -> list[str]:
    """A line for each job that is not done, of the sweeps that lie in or right above these folders; each sweep once."""
    places = dict.fromkeys(place for folder in folders for place in (folder.resolve(), folder.resolve().parent))
    return [line for place in places if (place / STATUS).is_file() for line in _jobs_of(place / STATUS)]


def _jobs_of(path: Path) -> list[str]:
    unknown = "whether jobs of this sweep failed is not known"
    lines = []
    try:
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                if row["state"] != "done":
                    error = printable(" ".join((row.get("error") or "").split()))
                    more = f" ({error})" if error else ""
                    lines.append(f"job {printable(row['job'])} of {path.parent.name}: {row['state']}{more}")
    except KeyError:
        return [f"{path} has no columns job and state: {unknown}"]
    except (OSError, ValueError, csv.Error) as error:
        return [f"{path} cannot be read ({error}): {unknown}"]
    return lines


def check_comparable(runs: Sequence[RunResult]) -> None:
    """Same subject, split, resolution, frames, head masks and meaning of each metric, among the runs that say so. Raises
    UserError, which names two runs that differ, how many are like either, in what, and what to do."""
    if not all(run.identity for run in runs):  # of an older version: the folders' names have to do
        _check_equal(runs, [run.metrics["subject"] for run in runs], "subject")
    _check_equal(runs, [run.metrics["resolution"] for run in runs], "resolution")
    _check_equal(runs, [run.split for run in runs], "split")
    _check_equal(runs, [run.frame_ids for run in runs], "frames", _span)
    _check_equal(runs, [_frames_of_people(run) for run in runs], "frames of the subjects")
    for part, what in (("frames", "hash of the original images"), ("masks", "hash of masks and backgrounds")):
        _check_equal(runs, [run.identity.get(part) for run in runs], what, lambda text: f"{text[:7]}...")
    _check_equal(runs, [(run.info.get("subject") or {}).get("head_masks") for run in runs], "folder of the head masks")
    for name in dict.fromkeys(name for run in runs for name in run.metrics["definitions"]):
        measured = [run for run in runs if run.mean(name) is not None]  # "n/a" compares with anything
        _check_equal(measured, [run.metrics["definitions"].get(name) for run in measured], f"meaning of {name}")
    _check_equal(runs, [(run.metrics.get("aligned") or {}).get("steps") for run in runs], "evaluation.align_steps")


def _frames_of_people(run: RunResult) -> list[list[int]] | None:
    """Numbers of the measured frames of each subject, of a run over several."""
    people = run.metrics.get("subjects")
    return people and sorted([frame["frame_id"] for frame in one["frames"]] for one in people.values())


CHOSEN_ON = {
    "test": "the test frames themselves (dataset.split=paper)",
    "val": "validation frames (dataset.split=three)",
}


def chosen_remark(runs: Sequence[RunResult]) -> str:
    """Which split chose among checkpoints and trials of these runs; where they differ, which runs by which."""
    by_split = {split: [run.name for run in runs if run.chosen_on == split] for split in CHOSEN_ON}
    found = {split: names for split, names in by_split.items() if names}
    if not found:
        return ""
    if len(found) == 1:
        return f"What chooses (previews, best.ckpt, searches) looked at {CHOSEN_ON[next(iter(found))]}."
    texts = " and ".join(
        f"{CHOSEN_ON[split]} in {names[0]}" + (f" (with {len(names) - 1} like it)" if len(names) > 1 else "")
        for split, names in found.items()
    )
    return (
        f"What chooses (previews, best.ckpt, searches) looked at {texts}: they were trained on different frames and chosen by "
        "different ones, so that ranks between them tell little."
    )


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
