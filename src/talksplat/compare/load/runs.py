"""The runs that a comparison is asked for; what cannot be used is left out and named."""

from __future__ import annotations

import csv
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from talksplat.compare.load.discover import find_runs, run_names
from talksplat.compare.load.run import RunResult, read_run
from talksplat.errors import UserError

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
    try:
        with path.open(newline="") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
            if not {"job", "state"} <= set(reader.fieldnames or ()):
                return [f"{path} has no columns job and state: whether jobs of this sweep failed is not known"]
    except (OSError, ValueError, csv.Error) as error:
        return [f"{path} cannot be read ({error}): whether jobs of this sweep failed is not known"]
    lines = []
    for row in rows:
        if row["state"] != "done":
            error = " ".join((row.get("error") or "").split())
            lines.append(f"job {row['job']} of {path.parent.name}: {row['state']}" + (f" ({error})" if error else ""))
    return lines
