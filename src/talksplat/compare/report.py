"""Writes a comparison: reads the runs, assembles the sections, and writes them in every form."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from talksplat.compare.agreement import check_comparable, chosen_remark
from talksplat.compare.differences_report import difference_section
from talksplat.compare.find import split_runs
from talksplat.compare.foreign import foreign_remarks, foreign_runs, parse_foreign
from talksplat.compare.groups import SeedGroup, seed_groups
from talksplat.compare.latex import latex_tables
from talksplat.compare.origin_sections import definitions_section, origin_section
from talksplat.compare.page import write_page
from talksplat.compare.page_sections import page_about
from talksplat.compare.paired import choose_reference
from talksplat.compare.pictures import Film, draw_pictures
from talksplat.compare.published_rows import AUTO, PublishedTable, fitting_tables, read_published
from talksplat.compare.published_section import published_csv, published_section
from talksplat.compare.reading import read_runs
from talksplat.compare.run_result import RunResult
from talksplat.compare.run_table import build_table, csv_text
from talksplat.compare.sections import Section, page_markdown
from talksplat.compare.seeds import build_seed_table, has_repeats, seeds_csv
from talksplat.compare.settings_section import settings_section
from talksplat.errors import UserError
from talksplat.files import write_text

logger = logging.getLogger(__name__)
MARKDOWN, CSV, LATEX, SEEDS_CSV = "comparison.md", "comparison.csv", "table.tex", "seeds.csv"
DIFFERENCES_CSV, PUBLISHED_CSV = "differences.csv", "published.csv"
PAGE, VIDEO = "comparison.html", "side_by_side.mp4"
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
    worst_frames: int = 0,
) -> Comparison:
    """Write a comparison into `out`: `comparison.md` and `table.tex` for reading; `comparison.csv`, `seeds.csv` (where runs
    differ in nothing but their seed), `differences.csv` and `published.csv` (where there are some) with all figures;
    pictures, `side_by_side.mp4`, and `comparison.html` with all of it.

    Args:
        runs: run folders, folders that hold some, or globs; text with commas is split.
        out: folder for the results; made if need be.
        overwrite: replace a comparison that is there.
        video: whether to write the video.
        published: names of published tables to set beside the runs; "auto" for those that have rows for them.
        reference: group or run that the others are compared with, frame by frame.
        foreign: rendered videos of other projects to measure and compare as well, `NAME:PATH,NAME:PATH`.
        worst_frames: held-out frames of each of a few groups to show in a picture; 0: none.

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
    if len({run.chosen_on for run in results} - {None}) > 1:
        notes.append(chosen_remark(results))  # a warning on the console and on the page as well
    if AUTO in published:
        papers, note = _add_fitting(papers, groups)
        notes.append(note)
    out.mkdir(parents=True, exist_ok=True)
    _remove_old(out)
    _write_csvs(out, results, groups, papers)
    pictures, picture_notes = draw_pictures(groups, out, worst_frames)
    film, film_notes = _film(groups, out / VIDEO) if video else (None, [])
    notes = list(dict.fromkeys(notes + picture_notes + film_notes))
    for note in notes:
        logger.info("%s", note)
    tables, text = _tables(results, groups, against, papers)
    _write(out / DIFFERENCES_CSV, text)
    title, remarks = _title(results, groups, left_out), [Section("Notes", [notes])] if notes else []
    settings = settings_section(groups)
    looked_up = [*([settings] if settings else []), definitions_section(results), origin_section(results)]
    comparison = Comparison(results, groups, [title, *tables, *looked_up, *remarks], tables)
    about = Section("", title.parts[1:])  # what the head of the page does not say
    shown = [*([about] if about.parts else []), *tables, *remarks]
    write_page(out / PAGE, title.title, page_about(results, groups), shown, looked_up, pictures, film)
    _write(out / LATEX, latex_tables(tables))
    _write(out / MARKDOWN, page_markdown(comparison.sections))
    return comparison


def _title(runs: list[RunResult], groups: list[SeedGroup], left_out: list[str]) -> Section:
    metrics = runs[0].metrics
    width, height = metrics["resolution"]
    about = (
        f"Subject {metrics['subject']}, split {runs[0].split}, {len(metrics['frames'])} frames of {width}x{height}."
        + (" Best values are bold, the second best underlined." if len(runs) > 1 else "")
        + f" {chosen_remark(runs)}".rstrip()
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


def _film(groups: list[SeedGroup], path: Path) -> tuple[Film | None, list[str]]:
    """The video, where there is one, and what was left out of it."""
    from talksplat.compare.video import CAPTION, poster_of, write_side_by_side  # decoders take a while to load

    notes = write_side_by_side(groups, path)
    return (Film(path, "Side by side", CAPTION, poster_of(path)) if path.is_file() else None), notes


def _remove_old(out: Path) -> None:
    """Files of a comparison that is overwritten and that this one may not write."""
    for name in (SEEDS_CSV, DIFFERENCES_CSV, PUBLISHED_CSV, VIDEO):
        (out / name).unlink(missing_ok=True)


def _write(path: Path, text: str) -> None:
    if text:
        write_text(path, text)
