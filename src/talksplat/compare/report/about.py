"""What was compared, what the metrics mean, and where the runs come from."""

from __future__ import annotations

from collections.abc import Sequence

from talksplat.compare.data import ComparisonData
from talksplat.compare.document import HEAD, LOOKUP, NOTES, Section
from talksplat.compare.load.run import RunResult

MAX_RUNS = 24


def title_section(data: ComparisonData) -> Section:
    """Title, subject and frames, and what was left out."""
    count = len(data.runs)
    groups = f" in {len(data.groups)} groups" if len(data.groups) < count else ""
    about = f"Subject {data.subject}, split {data.split}, {data.frames}."
    best = " Best values are bold, the second best underlined." if count > 1 else ""
    left_out = ["Left out or not finished:", data.left_out] if data.left_out else []
    return Section(f"Comparison of {count} run{'s' if count > 1 else ''}{groups}", [about + best, *left_out], HEAD)


def facts(data: ComparisonData) -> list[tuple[str, str]]:
    """What was compared, for the head of the page: names and values."""
    count, size = data.frames.split(" frames of ")
    return [
        ("subject", data.subject),
        ("frames", f"{count} of the split {data.split}"),
        ("resolution", size),
        ("runs", f"{len(data.runs)} in {len(data.groups)} group{'s' if len(data.groups) > 1 else ''}"),
        ("hardware", data.hardware),
    ]


def definitions_section(data: ComparisonData) -> Section:
    """Each metric's definition."""
    definitions = {name: text for run in reversed(data.runs) for name, text in run.metrics["definitions"].items()}
    # A run that measured a metric says what it is better than one that did not.
    for run in data.runs:
        definitions |= {n: t for n, t in run.metrics["definitions"].items() if run.mean(n) is not None}
    return Section("What the metrics mean", [[f"{name}: {text}" for name, text in definitions.items()]], LOOKUP)


def origin_section(data: ComparisonData) -> Section:
    """Command, commit, machine and folder of each run; of many runs the first ones."""
    lines, more = [_origin(run) for run in data.runs[:MAX_RUNS]], len(data.runs) - MAX_RUNS
    lines += [f"and {more} more: see comparison.csv"] if more > 0 else []
    return Section("Where the runs come from", [lines], LOOKUP)


def notes_section(notes: Sequence[str]) -> Section | None:
    """What is to be known about the rest, and what was left out of it."""
    return Section("Notes", [list(notes)], NOTES) if notes else None


def _origin(run: RunResult) -> str:
    if run.foreign:
        return f"{run.name}: video of another project, {run.config['foreign']['source']}; measured in {run.path}"
    changed = " with changes" if (run.info.get("git") or {}).get("dirty") else ""
    command = run.info.get("command", "unknown")
    return f"{run.name}: `{command}`; commit {run.commit or 'unknown'}{changed}; {run.hardware}; {run.path}"
