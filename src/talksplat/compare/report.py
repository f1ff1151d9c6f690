"""Writes a comparison: reads the runs, assembles the sections, and writes them in every form."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from talksplat.compare.agreement import check_comparable
from talksplat.compare.differences_report import difference_section
from talksplat.compare.find import split_runs
from talksplat.compare.foreign import foreign_remarks, foreign_runs, parse_foreign
from talksplat.compare.groups import SeedGroup, seed_groups
from talksplat.compare.latex import latex_tables
from talksplat.compare.origin_sections import definitions_section, origin_section
from talksplat.compare.paired import choose_reference
from talksplat.compare.published_rows import AUTO, PublishedTable, fitting_tables, read_published
from talksplat.compare.published_section import published_csv, published_section
from talksplat.compare.reading import read_runs
from talksplat.compare.run_result import RunResult
from talksplat.compare.run_table import build_table, csv_text
from talksplat.compare.sections import Section, page_markdown
from talksplat.compare.seeds import build_seed_table, has_repeats, seeds_csv
from talksplat.compare.settings_section import settings_section
from talksplat.errors import UserError

logger = logging.getLogger(__name__)
MARKDOWN, CSV, LATEX, SEEDS_CSV = "comparison.md", "comparison.csv", "table.tex", "seeds.csv"
DIFFERENCES_CSV, PUBLISHED_CSV = "differences.csv", "published.csv"
MAX_RUNS = 12  # more are for the CSV file: nobody reads a table of 200 lines


@dataclass
class Comparison:
    """What was compared, and what there is to say about it: `tables` are the sections that belong into a paper, `sections`
    all of the page."""

    runs: list[RunResult]
    groups: list[SeedGroup]
    sections: list[Section]
    tables: list[Section]


def compare_runs(
    runs: str | Sequence[str],
    out: Path,
    overwrite: bool = False,
    video: bool = True,
    published: Sequence[str] = (),
    reference: str | None = None,
    foreign: str | None = None,
) -> Comparison:
    """Write a comparison into `out`: `comparison.md` and `table.tex` for reading; `comparison.csv`, `seeds.csv` (where runs
    differ in nothing but their seed), `differences.csv` and `published.csv` (where there are some) with all figures;
    `psnr_per_frame.png`, `metrics.png` and `side_by_side.mp4`.

    Args:
        runs: run folders, folders that hold some, or globs; text with commas is split.
        out: folder for the results; made if need be.
        overwrite: replace a comparison that is there.
        video: whether to write the video.
        published: names of published tables to set beside the runs; "auto" for those that have rows for them.
        reference: group or run that the others are compared with, frame by frame.
        foreign: rendered videos of other projects to measure and compare as well, `NAME:PATH,NAME:PATH`.

    Raises:
        UserError: no such published table, no runs, runs that do not compare, a comparison is there already, a video
            of another project that does not fit.
    """
    if (out / MARKDOWN).exists() and not overwrite:
        raise UserError(f"{out / MARKDOWN} is there already: give another out=FOLDER, or overwrite=true")
    papers = [read_published(name) for name in published if name != AUTO]
    videos = parse_foreign(foreign)
    results, left_out = read_runs(split_runs(runs) if isinstance(runs, str) else [str(run) for run in runs])
    check_comparable(results)
    if videos:
        results += foreign_runs(videos, results, out)
        check_comparable(results)
    groups = seed_groups(results)
    against = choose_reference(groups, reference)
    notes = foreign_remarks(results)
    if AUTO in published:
        papers, note = _add_fitting(papers, groups)
        notes.append(note)
    out.mkdir(parents=True, exist_ok=True)
    _remove_old(out)
    _write_csvs(out, results, groups, papers)
    notes += _write_pictures(out, results, groups, video)
    tables, text = _tables(results, groups, against, papers)
    _write(out / DIFFERENCES_CSV, text)
    sections = [
        _title(results, groups, left_out),
        *tables,
        settings_section(groups),
        definitions_section(results),
        origin_section(results),
        Section("Notes", [notes]) if notes else None,
    ]
    comparison = Comparison(results, groups, [section for section in sections if section], tables)
    _write(out / LATEX, latex_tables(tables))
    _write(out / MARKDOWN, page_markdown(comparison.sections))
    return comparison


def _title(runs: list[RunResult], groups: list[SeedGroup], left_out: list[str]) -> Section:
    metrics = runs[0].metrics
    width, height = metrics["resolution"]
    about = (
        f"Subject {metrics['subject']}, split {metrics['split']}, {len(metrics['frames'])} frames of {width}x{height}."
        + (" Best values are bold, the second best underlined." if len(runs) > 1 else "")
    )
    groups_text = f" in {len(groups)} groups" if len(groups) < len(runs) else ""
    title = f"Comparison of {len(runs)} run{'s' if len(runs) > 1 else ''}{groups_text}"
    return Section(title, [about, *(["Left out or not finished:", left_out] if left_out else [])])


def _tables(
    runs: list[RunResult], groups: list[SeedGroup], reference: SeedGroup, papers: list[PublishedTable]
) -> tuple[list[Section], str]:
    """Sections with tables of results, and the text of the differences' CSV file."""
    sections = []
    repeats = has_repeats(groups)
    if repeats or len(runs) > MAX_RUNS:
        title = "Over seeds (mean ± standard deviation)" if repeats else "Groups"
        sections.append(Section(title, [build_seed_table(groups)]))
    if len(runs) <= MAX_RUNS:
        sections.append(Section("Runs", [build_table(runs, ranked=not repeats)]))
    differences, text = difference_section(groups, reference)
    sections += [differences] if differences else []
    return sections + [published_section(paper, groups) for paper in papers], text


def _add_fitting(papers: list[PublishedTable], groups: list[SeedGroup]) -> tuple[list[PublishedTable], str]:
    fitting, others = fitting_tables(groups)
    names = [paper.name for paper in papers]
    papers = papers + [table for table in fitting if table.name not in names]
    if not papers:
        return [], "published=auto: no table of a paper that is at hand has a row for these runs"
    note = f"published=auto chose {', '.join(table.name for table in papers)}"
    return papers, note + (f"; rows for some of the runs have {', '.join(others)} as well" if others else "")


def _write_csvs(out: Path, runs: list[RunResult], groups: list[SeedGroup], papers: list[PublishedTable]) -> None:
    _write(out / CSV, csv_text(runs))
    if has_repeats(groups):
        _write(out / SEEDS_CSV, seeds_csv(groups))
    if papers:
        _write(out / PUBLISHED_CSV, published_csv(papers, groups))


def _write_pictures(out: Path, runs: list[RunResult], groups: list[SeedGroup], video: bool) -> list[str]:
    """Plots and video; what was left out of the video."""
    from talksplat.compare.plots import plot_curves, plot_metrics  # matplotlib takes a second to import

    plot_curves(runs, out / "psnr_per_frame.png")
    plot_metrics(groups, out / "metrics.png")
    if not video:
        return []
    from talksplat.compare.video import write_side_by_side  # torch takes seconds

    notes = write_side_by_side(runs, out / "side_by_side.mp4")
    for note in notes:
        logger.info("%s", note)
    return notes


def _remove_old(out: Path) -> None:
    """Files of a comparison that is overwritten and that this one may not write."""
    for name in (SEEDS_CSV, DIFFERENCES_CSV, PUBLISHED_CSV):
        (out / name).unlink(missing_ok=True)


def _write(path: Path, text: str) -> None:
    if text:
        temporary = path.with_name(f".{path.name}.tmp")
        temporary.write_text(text)
        os.replace(temporary, path)
