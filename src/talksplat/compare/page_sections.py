"""What the page says about a comparison."""

from __future__ import annotations

from collections.abc import Sequence

from talksplat.compare.groups import MAX_SETTINGS, SeedGroup, differing_settings
from talksplat.compare.run_result import RunResult
from talksplat.compare.sections import Section
from talksplat.compare.table import Cell, ComparisonTable


def page_about(runs: Sequence[RunResult], groups: Sequence[SeedGroup]) -> list[tuple[str, str]]:
    """What was compared: names and values."""
    metrics = runs[0].metrics
    width, height = metrics["resolution"]
    return [
        ("subject", str(metrics["subject"])),
        ("frames", f"{len(metrics['frames'])} of the split {metrics['split']}"),
        ("resolution", f"{width}x{height}"),
        ("runs", f"{len(runs)} in {len(groups)} group{'s' if len(groups) > 1 else ''}"),
        ("hardware", ", ".join(dict.fromkeys(run.hardware for run in runs if run.hardware))),
    ]


def page_sections(table: ComparisonTable, seeds: ComparisonTable | None, notes: Sequence[str]) -> list[Section]:
    """Results: over seeds, where there is a deviation to speak of, and of the runs; and what was left out, and why."""
    over_seeds = [Section("Over seeds (mean ± standard deviation)", [seeds])] if seeds else []
    left_out = [Section("Left out, and why", [list(notes)])] if notes else []
    return [*over_seeds, Section("Runs", [table]), *left_out]


def folded_sections(runs: Sequence[RunResult], groups: Sequence[SeedGroup]) -> list[Section]:
    """What one looks up: settings, definitions, origins."""
    settings = [Section("Settings that differ", _settings(groups))] if len(groups) > 1 else []
    definitions = [f"{name}: {text}" for name, text in definitions_of(runs).items()]
    return [
        *settings,
        Section("What the metrics mean", [definitions]),
        Section("Where the runs come from", [_origins(runs)]),
    ]


def definitions_of(runs: Sequence[RunResult]) -> dict[str, str]:
    """Meaning of each metric. A run that measured it says what it is better than one that did not."""
    definitions = {name: text for run in reversed(runs) for name, text in run.metrics["definitions"].items()}
    for run in runs:
        definitions |= {n: t for n, t in run.metrics["definitions"].items() if run.mean(n) is not None}
    return definitions


def _settings(groups: Sequence[SeedGroup]) -> list[ComparisonTable | str]:
    """Settings by group: within a group they are the same but for the seed."""
    differing = differing_settings([group.runs[0] for group in groups])
    differing.pop("seed", None)
    rows = [[Cell(key), *map(Cell, values)] for key, values in list(differing.items())[:MAX_SETTINGS]]
    more = len(differing) - MAX_SETTINGS
    table = ComparisonTable(["setting", *(group.name for group in groups)], rows)
    return [table, *([f"and {more} more: compare the runs' config.yaml"] if more > 0 else [])]


def _origins(runs: Sequence[RunResult]) -> ComparisonTable:
    rows = []
    for run in runs:
        git = run.info.get("git") or {}
        commit = (git.get("commit") or "unknown") + (" with changes" if git.get("dirty") else "")
        texts = (run.name, run.info.get("command", "unknown"), commit, run.hardware, str(run.path))
        rows.append([Cell(str(text)) for text in texts])
    return ComparisonTable(["run", "command", "commit", "hardware", "folder"], rows)
