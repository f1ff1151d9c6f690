"""Writes a comparison."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from talksplat.compare.agreement import check_comparable
from talksplat.compare.find import find_runs, run_names, split_runs
from talksplat.compare.groups import SeedGroup, seed_groups, settings_markdown
from talksplat.compare.page import write_page
from talksplat.compare.page_sections import definitions_of, folded_sections, page_about, page_sections
from talksplat.compare.pictures import Film, draw_pictures
from talksplat.compare.published_rows import published_markdown, read_published
from talksplat.compare.run_result import RunResult, read_run
from talksplat.compare.seeds import build_seed_table, has_repeats, seeds_csv
from talksplat.compare.table import ComparisonTable, build_table, csv_text
from talksplat.errors import UserError

logger = logging.getLogger(__name__)
MARKDOWN, CSV, SEEDS_CSV = "comparison.md", "comparison.csv", "seeds.csv"
PAGE, VIDEO = "comparison.html", "side_by_side.mp4"

SEEDS_TITLE = "## Over seeds (mean ± standard deviation)\n\n"


@dataclass
class Comparison:
    """What is printed: the table of the runs, that over seeds (None where no run is repeated with another seed), and the
    sections of published tables as Markdown."""

    table: ComparisonTable
    seeds: ComparisonTable | None
    published: list[str]


def compare_runs(
    runs: str | Sequence[str],
    out: Path,
    overwrite: bool,
    video: bool,
    published: Sequence[str] = (),
    worst_frames: int = 0,
) -> Comparison:
    """Write `comparison.md`, `comparison.csv`, `seeds.csv`, pictures, `side_by_side.mp4` and `comparison.html`, which has
    all of it, into `out`; `seeds.csv` only where runs differ in nothing but their seed.

    Args:
        runs: run folders, folders that hold some, or globs; text with commas is split.
        out: folder for the results; made if need be.
        overwrite: replace a comparison that is there.
        video: whether to write the video.
        published: names of published tables to set beside the runs.
        worst_frames: held-out frames of each of a few groups to show in a picture; 0: none.

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
    pictures, notes = draw_pictures(groups, out, worst_frames)
    film, film_notes = _film(groups, out / VIDEO) if video else (None, [])
    notes = list(dict.fromkeys(notes + film_notes))
    for note in notes:
        logger.info("%s", note)
    _write(out / CSV, csv_text(results))
    if seeds is not None:
        _write(out / SEEDS_CSV, seeds_csv(groups))
    sections, folded = page_sections(comparison.table, seeds, notes), folded_sections(results, groups)
    write_page(out / PAGE, _title(results), page_about(results, groups), sections, folded, pictures, film)
    _write(out / MARKDOWN, _markdown(results, comparison, notes))
    return comparison


def _markdown(runs: list[RunResult], comparison: Comparison, notes: list[str]) -> str:
    metrics = runs[0].metrics
    width, height = metrics["resolution"]
    about = (
        f"Subject {metrics['subject']}, split {metrics['split']}, {len(metrics['frames'])} frames of {width}x{height}."
    )
    sections = [
        f"# {_title(runs)}\n",
        about + (" The best value of a column is bold.\n" if len(runs) > 1 else "\n"),
        comparison.table.markdown(),
        SEEDS_TITLE + comparison.seeds.markdown() if comparison.seeds else "",
        *comparison.published,
        settings_markdown(runs),
        "## What the metrics mean\n",
        "".join(f"- {name}: {text}\n" for name, text in definitions_of(runs).items()),
        "## Where the runs come from\n",
        "".join(_origin(run) for run in runs),
        "".join(f"- {note}\n" for note in notes),
    ]
    return "\n".join(section for section in sections if section)


def _title(runs: list[RunResult]) -> str:
    return f"Comparison of {len(runs)} run{'s' if len(runs) > 1 else ''}"


def _film(groups: Sequence[SeedGroup], path: Path) -> tuple[Film | None, list[str]]:
    # Coding of video is loaded by those who ask for it.
    from talksplat.compare.video import CAPTION, poster_of, write_side_by_side

    path.unlink(missing_ok=True)
    notes = write_side_by_side(groups, path)
    return (Film(path, "Side by side", CAPTION, poster_of(path)) if path.is_file() else None), notes


def _origin(run: RunResult) -> str:
    commit = (run.info.get("git") or {}).get("commit") or "unknown"
    changed = " with changes" if (run.info.get("git") or {}).get("dirty") else ""
    command = run.info.get("command", "unknown")
    return f"- {run.name}: `{command}`; commit {commit}{changed}; {run.hardware}; {run.path}\n"


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text)
    os.replace(temporary, path)
