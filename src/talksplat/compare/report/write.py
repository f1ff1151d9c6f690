"""Writes a comparison: reads the runs, assembles the sections, and writes them in every form."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from talksplat.compare.data import ComparisonData
from talksplat.compare.document import HEAD, LOOKUP, NOTES, Section
from talksplat.compare.external.published import AUTO, add_fitting, published_csv, published_section, read_published
from talksplat.compare.external.videos import REMARK, foreign_runs, parse_foreign
from talksplat.compare.load.discover import split_runs
from talksplat.compare.load.runs import chosen_remark, read_runs
from talksplat.compare.pictures.draw import draw_pictures
from talksplat.compare.report.render import html_page, latex_tables, render
from talksplat.compare.tables.differences import difference_section, differences, differences_csv
from talksplat.compare.tables.results import result_sections, runs_csv, seeds_csv
from talksplat.compare.tables.settings import settings_section
from talksplat.errors import UserError
from talksplat.files import write_text

logger = logging.getLogger(__name__)
MARKDOWN = "comparison.md"
MAX_RUNS = 24  # whose origin is told


def compare_runs(
    runs: str | Sequence[str],
    out: Path,
    overwrite: bool = False,
    video: bool = True,
    published: Sequence[str] = (),
    reference: str | None = None,
    foreign: str | None = None,
    worst_frames: int = 0,
    trust: Sequence[str] = (),
) -> ComparisonData:
    """Write a comparison into `out`: `comparison.md` and `table.tex` for reading; `comparison.csv`, `seeds.csv` (where runs
    differ in nothing but their seed), `differences.csv` and `published.csv` (where there are some) with all figures;
    pictures, `side_by_side.mp4`, and `comparison.html` with all of it. The arguments are the settings of `conf/compare.yaml`.

    Raises UserError for an unknown published table, no runs, runs that do not compare, a comparison that is there already, and a
    video of another project that does not fit.
    """
    if (out / MARKDOWN).exists() and not overwrite:
        raise UserError(f"{out / MARKDOWN} is there already: give another out=FOLDER, or overwrite=true")
    papers = [read_published(name) for name in published if name != AUTO]
    videos = parse_foreign(foreign)
    specs = split_runs(runs) if isinstance(runs, str) else [str(run) for run in runs]
    data = ComparisonData(*read_runs(specs), reference)
    if videos:
        data = replace(data, runs=[*data.runs, *foreign_runs(videos, data.runs, out, trust)])
    found = differences(data)
    rendered = [run.name for run in data.runs if run.foreign]
    if rendered:
        data.notes.add(f"{', '.join(rendered)}: {REMARK}")
    if len({run.chosen_on for run in data.runs} - {None}) > 1:
        data.notes.add(chosen_remark(data.runs))  # a warning on the console and on the page as well
    if AUTO in published:
        papers = add_fitting(papers, data)
    out.mkdir(parents=True, exist_ok=True)
    poster = draw_pictures(data, out, worst_frames, video)
    for note in data.notes.lines:
        logger.info("%s", note)
    results = [*result_sections(data), *([difference_section(data, found)] if found else [])]
    results += [published_section(paper, data) for paper in papers]
    looked_up = [settings_section(data), definitions_section(data), origin_section(data)]
    notes = [Section("Notes", [data.notes.lines], NOTES)] if data.notes.lines else []
    data.sections += [title_section(data), *results, *(section for section in looked_up if section), *notes]
    texts = {
        "comparison.csv": runs_csv(data),
        "seeds.csv": seeds_csv(data) if data.has_repeats else None,
        "differences.csv": differences_csv(found) if found else None,
        "published.csv": published_csv(papers, data) if papers else None,
        "table.tex": latex_tables(data.sections),
        "comparison.html": html_page(data, out, poster),
        MARKDOWN: render("comparison.md.j2", sections=data.sections),  # the last: it says that a comparison is there
    }
    for name, text in texts.items():
        if text is None:
            (out / name).unlink(missing_ok=True)
        else:
            write_text(out / name, text)
    return data


def title_section(data: ComparisonData) -> Section:
    """Title, subject and frames, and what was left out."""
    count = len(data.runs)
    groups = f" in {len(data.groups)} groups" if len(data.groups) < count else ""
    about = "Subject {subject}, split {split}, {frames} frames of {resolution}.".format(**data.facts)
    best = " Best values are bold, the second best underlined." if count > 1 else ""
    left_out = ["Left out or not finished:", data.left_out] if data.left_out else []
    chosen = f" {chosen_remark(data.runs)}".rstrip()
    return Section(
        f"Comparison of {count} run{'s' if count > 1 else ''}{groups}", [about + best + chosen, *left_out], HEAD
    )


def definitions_section(data: ComparisonData) -> Section:
    """Each metric's definition."""
    definitions = {name: text for run in reversed(data.runs) for name, text in run.metrics["definitions"].items()}
    # A run that measured a metric says what it is better than one that did not.
    for run in data.runs:
        definitions |= {n: t for n, t in run.metrics["definitions"].items() if run.mean(n) is not None}
    return Section("What the metrics mean", [[f"{name}: {text}" for name, text in definitions.items()]], LOOKUP)


def origin_section(data: ComparisonData) -> Section:
    """Command, commit, machine and folder of each run; of many runs the first ones."""
    lines, more = [run.origin for run in data.runs[:MAX_RUNS]], len(data.runs) - MAX_RUNS
    lines += [f"and {more} more: see comparison.csv"] if more > 0 else []
    return Section("Where the runs come from", [lines], LOOKUP)
