"""Writes a comparison: reads the runs, assembles the sections, and writes them in every form."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from talksplat.compare.data import ComparisonData
from talksplat.compare.document import Section
from talksplat.compare.external.published import AUTO, add_fitting, read_published
from talksplat.compare.external.published_section import published_csv, published_section
from talksplat.compare.external.videos import foreign_remarks, foreign_runs, parse_foreign
from talksplat.compare.load.discover import split_runs
from talksplat.compare.load.runs import read_runs
from talksplat.compare.pictures.draw import draw_pictures
from talksplat.compare.report.about import definitions_section, facts, notes_section, origin_section, title_section
from talksplat.compare.report.latex import latex_tables
from talksplat.compare.report.templates import markdown, write_page
from talksplat.compare.tables.differences import difference_section, differences_csv
from talksplat.compare.tables.paired import differences
from talksplat.compare.tables.results import result_sections, runs_csv, seeds_csv
from talksplat.compare.tables.settings import settings_section
from talksplat.errors import UserError
from talksplat.files import write_text

logger = logging.getLogger(__name__)
MARKDOWN = "comparison.md"


@dataclass
class Comparison:
    """What was compared, and what there is to say about it."""

    data: ComparisonData
    sections: list[Section]


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
        published: names of published tables to set against the runs; "auto" for those that have rows for them.
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
    specs = split_runs(runs) if isinstance(runs, str) else [str(run) for run in runs]
    data = ComparisonData(*read_runs(specs), reference)
    if videos:
        data = replace(data, runs=[*data.runs, *foreign_runs(videos, data.runs, out)])
    found = differences(data)
    notes = foreign_remarks(data.runs)
    if AUTO in published:
        papers, note = add_fitting(papers, data.groups)
        notes.append(note)
    out.mkdir(parents=True, exist_ok=True)
    pictures, left_out = draw_pictures(data, out, worst_frames, video)
    notes = list(dict.fromkeys(notes + left_out))
    for note in notes:
        logger.info("%s", note)
    results = [*result_sections(data), *([difference_section(data, found)] if found else [])]
    results += [published_section(paper, data) for paper in papers]
    looked_up = [settings_section(data), definitions_section(data), origin_section(data)]
    sections = [title_section(data), *results, *looked_up, notes_section(notes)]
    sections = [section for section in sections if section is not None]
    texts = {
        "comparison.csv": runs_csv(data),
        "seeds.csv": seeds_csv(data) if data.has_repeats else None,
        "differences.csv": differences_csv(found) if found else None,
        "published.csv": published_csv(papers, data) if papers else None,
        "table.tex": latex_tables(sections),
        MARKDOWN: markdown(sections),
    }
    for name, text in texts.items():
        (out / name).unlink(missing_ok=True)
        if text is not None:
            write_text(out / name, text)
    write_page(out / "comparison.html", facts(data), sections, pictures)
    return Comparison(data, sections)
