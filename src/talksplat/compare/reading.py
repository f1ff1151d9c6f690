"""Reads the run folders that a comparison is asked for; leaves out, and names, what cannot be used."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from talksplat.compare.find import find_runs, run_names
from talksplat.compare.run_result import RunResult, read_run
from talksplat.compare.sweep_status import unfinished_jobs
from talksplat.errors import UserError

logger = logging.getLogger(__name__)


def read_runs(specs: Sequence[str]) -> tuple[list[RunResult], list[str]]:
    """Runs that can be read, under short names, and what was left out and why.

    A run that is not finished, half-written or of another version is left out as long as another one remains.

    Args:
        specs: run folders, folders that hold some, or globs.

    Raises:
        UserError: no run remains; the reason of the first.
    """
    folders, left_out = find_runs(specs)
    runs: list[RunResult] = []
    damaged: list[str] = []
    for folder, name in zip(folders, run_names(folders)):
        try:
            runs.append(read_run(folder, name))
        except UserError as error:
            damaged.append(f"{name}: {error}")
    if not runs:
        more = f" (and {len(damaged) - 1} more runs that cannot be used)" if len(damaged) > 1 else ""
        raise UserError(damaged[0].partition(": ")[2] + more)
    runs, others = _of_one_version(runs)
    jobs = unfinished_jobs([*(Path(spec).expanduser() for spec in specs), *folders])
    left_out = [*left_out, *damaged, *others, *jobs]
    for line in left_out:
        logger.warning("left out: %s", line)
    return runs, left_out


def _of_one_version(runs: list[RunResult]) -> tuple[list[RunResult], list[str]]:
    """Runs whose metrics mean what they mean in most runs, of those that another commit wrote. What one commit measured in
    two ways was asked for in two ways, and is refused later on."""
    for name in dict.fromkeys(name for run in runs for name in run.metrics["definitions"]):
        measured = [run for run in runs if run.mean(name) is not None]
        texts = Counter(run.metrics["definitions"].get(name) for run in measured)
        if len(texts) < 2:
            continue
        usual = texts.most_common(1)[0][0]
        commits = {run.commit for run in measured if run.metrics["definitions"].get(name) == usual}
        odd = [
            run
            for run in measured
            if run.metrics["definitions"].get(name) != usual and run.commit is not None and run.commit not in commits
        ]
        if odd:
            kept, others = _of_one_version([run for run in runs if run not in odd])
            return kept, [*(_other_version(run, name) for run in odd), *others]
    return runs, []


def _other_version(run: RunResult, name: str) -> str:
    return (
        f"{run.name}: another version measured it (commit {run.commit[:7]}): {name} has another meaning there than in the "
        f"other runs ({run.metrics['definitions'].get(name)!r}); measure it again to compare it"
    )
