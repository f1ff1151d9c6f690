"""Writes a comparison."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from talksplat.compare.agreement import check_comparable
from talksplat.compare.find import find_runs, run_names, split_runs
from talksplat.compare.groups import seed_groups, settings_markdown
from talksplat.compare.plots import plot_curves, plot_metrics
from talksplat.compare.published_rows import published_markdown, read_published
from talksplat.compare.run_result import RunResult, read_run
from talksplat.compare.seeds import build_seed_table, has_repeats, seeds_csv
from talksplat.compare.table import ComparisonTable, build_table, csv_text
from talksplat.compare.video import write_side_by_side
from talksplat.errors import UserError

logger = logging.getLogger(__name__)
MARKDOWN, CSV, SEEDS_CSV = "comparison.md", "comparison.csv", "seeds.csv"

SEEDS_TITLE = "## Over seeds (mean ± standard deviation)\n\n"


@dataclass
class Comparison:
    """What is printed: the table of the runs, that over seeds (None where no run is repeated with another seed), and the
    sections of published tables as Markdown."""

    table: ComparisonTable
    seeds: ComparisonTable | None
    published: list[str]


def compare_runs(
    runs: str | Sequence[str], out: Path, overwrite: bool, video: bool, published: Sequence[str] = ()
) -> Comparison:
    """Write `comparison.md`, `comparison.csv`, `seeds.csv`, `psnr_per_frame.png`, `metrics.png` and `side_by_side.mp4`
    into `out`; `seeds.csv` only where runs differ in nothing but their seed.

    Args:
        runs: run folders, folders that hold some, or globs; text with commas is split.
        out: folder for the results; made if need be.
        overwrite: replace a comparison that is there.
        video: whether to write the video.
        published: names of published tables to set beside the runs.

    Raises:
        UserError: no such published table, no runs, runs that do not compare, damaged files, or a comparison is there already.
    """
    if (out / MARKDOWN).exists() and not overwrite:
        raise UserError(f"{out / MARKDOWN} is there already: give another out=FOLDER, or overwrite=true")
    papers = [read_published(name) for name in published]
    folders = find_runs(split_runs(runs) if isinstance(runs, str) else [str(run) for run in runs])
    results = [read_run(folder, name) for folder, name in zip(folders, run_names(folders))]
    check_comparable(results)
    out.mkdir(parents=True, exist_ok=True)
    groups = seed_groups(results)
    seeds = build_seed_table(groups) if has_repeats(groups) else None
    comparison = Comparison(build_table(results), seeds, [published_markdown(paper, groups) for paper in papers])
    plot_curves(results, out / "psnr_per_frame.png")
    plot_metrics(groups, out / "metrics.png")
    notes = write_side_by_side(results, out / "side_by_side.mp4") if video else []
    for note in notes:
        logger.info("%s", note)
    _write(out / CSV, csv_text(results))
    if seeds is not None:
        _write(out / SEEDS_CSV, seeds_csv(groups))
    _write(out / MARKDOWN, _markdown(results, comparison, notes))
    return comparison


def _markdown(runs: list[RunResult], comparison: Comparison, notes: list[str]) -> str:
    metrics = runs[0].metrics
    width, height = metrics["resolution"]
    about = (
        f"Subject {metrics['subject']}, split {metrics['split']}, {len(metrics['frames'])} frames of {width}x{height}."
    )
    definitions = {name: text for run in reversed(runs) for name, text in run.metrics["definitions"].items()}
    # A run that measured a metric says what it is better than one that did not.
    for run in runs:
        definitions |= {n: t for n, t in run.metrics["definitions"].items() if run.mean(n) is not None}
    sections = [
        f"# Comparison of {len(runs)} run{'s' if len(runs) > 1 else ''}\n",
        about + (" The best value of a column is bold.\n" if len(runs) > 1 else "\n"),
        comparison.table.markdown(),
        SEEDS_TITLE + comparison.seeds.markdown() if comparison.seeds else "",
        *comparison.published,
        settings_markdown(runs),
        "## What the metrics mean\n",
        "".join(f"- {name}: {text}\n" for name, text in definitions.items()),
        "## Where the runs come from\n",
        "".join(_origin(run) for run in runs),
        "".join(f"- {note}\n" for note in notes),
    ]
    return "\n".join(section for section in sections if section)


def _origin(run: RunResult) -> str:
    commit = (run.info.get("git") or {}).get("commit") or "unknown"
    changed = " with changes" if (run.info.get("git") or {}).get("dirty") else ""
    command = run.info.get("command", "unknown")
    return f"- {run.name}: `{command}`; commit {commit}{changed}; {run.hardware}; {run.path}\n"


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text)
    os.replace(temporary, path)
