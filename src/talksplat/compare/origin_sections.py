"""What the metrics mean and where the runs come from."""

from __future__ import annotations

from collections.abc import Sequence

from talksplat.compare.run_result import RunResult
from talksplat.compare.sections import Section

MAX_RUNS = 24


def definitions_section(runs: Sequence[RunResult]) -> Section:
    """Each metric's definition."""
    definitions = {name: text for run in reversed(runs) for name, text in run.metrics["definitions"].items()}
    # A run that measured a metric says what it is better than one that did not.
    for run in runs:
        definitions |= {n: t for n, t in run.metrics["definitions"].items() if run.mean(n) is not None}
    return Section("What the metrics mean", [[f"{name}: {text}" for name, text in definitions.items()]])


def origin_section(runs: Sequence[RunResult]) -> Section:
    """Command, commit, machine and folder of each run; of many runs the first ones."""
    lines = [_origin(run) for run in runs[:MAX_RUNS]]
    more = [f"and {len(runs) - MAX_RUNS} more: see comparison.csv"] if len(runs) > MAX_RUNS else []
    return Section("Where the runs come from", [lines + more])


def _origin(run: RunResult) -> str:
    if run.foreign:
        return f"{run.name}: video of another project, {run.config['foreign']['source']}; measured in {run.path}"
    changed = " with changes" if (run.info.get("git") or {}).get("dirty") else ""
    command = run.info.get("command", "unknown")
    return f"{run.name}: `{command}`; commit {run.commit or 'unknown'}{changed}; {run.hardware}; {run.path}"
