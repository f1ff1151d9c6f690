"""Paired differences in words, as a table and as CSV."""

from __future__ import annotations

from collections.abc import Sequence

from talksplat.compare.columns import NONE
from talksplat.compare.data import ComparisonData
from talksplat.compare.document import Cell, Section, Table
from talksplat.compare.tables.paired import Difference, tested_columns
from talksplat.compare.tables.results import csv_text

MAX_GROUPS = 24  # more are for the CSV file
VERDICTS = {  # sign in the table, and words
    "better": ("+", "better on these frames by more than chance over frames"),
    "worse": ("−", "worse on these frames by more than chance over frames"),
    "equal": ("", "no difference can be told on these frames"),
    "unknown": ("?", "too few frames to tell a difference from chance"),
}
METHOD = [
    "A difference is the mean over frames of group less reference, each averaged over the seeds that both have. In brackets "
    "its 95 % interval over frames, by a block bootstrap, as neighbouring frames of a video are not independent: blocks are "
    "as long as the differences' autocorrelation asks for, with Student's quantiles for their number (differences.csv has the "
    "lengths). With fewer than three blocks nothing is claimed (?).",
    "+ and − mark what is better and worse by more than chance over frames at 5 %, corrected for the number of groups within "
    "a metric (Holm). It is not corrected for the number of metrics. Intervals are not corrected.",
    "That speaks of these trained networks on clips like this one. Of the method, with other seeds, only the seeds speak: "
    "how many agree in sign, and whether the mean over them stands out from their spread (paired t test at 5 %, not "
    "corrected; with two or three seeds it finds only large differences).",
]


def difference_section(data: ComparisonData, found: Sequence[Difference]) -> Section:
    """The differences as a table and in words, and how they were found."""
    groups: dict[str, list[Difference]] = {}
    for one in found:
        groups.setdefault(one.group, []).append(one)
    parts: list = [f"{len(groups)} groups are too many for this page: see differences.csv."]
    if len(groups) <= MAX_GROUPS:
        titles = list(dict.fromkeys(one.column.title for one in found))
        rows = [_row(mine, titles) for mine in groups.values()]
        parts = [Table(["group", "frames", "seeds compared", *titles], rows), [_statement(m) for m in groups.values()]]
    parts += METHOD
    tested = tested_columns(data)
    untested = [column.title for column in data.metrics if column not in tested]
    if untested:
        parts.append(f"Not tested, as they have no value for each frame: {', '.join(untested)}.")
    return Section(f"Differences from {data.reference.name}", parts)


def differences_csv(found: Sequence[Difference]) -> str:
    """All differences at full precision, a row for each group and metric."""
    titles = "group reference metric better frames block difference low high p p_holm seeds agreeing seed_mean seed_low"
    rows = []
    for one in found:
        frames, seeds = one.over_frames, one.over_seeds
        better = "more" if one.column.better > 0 else "less"
        row = [one.group, one.reference, one.column.key, better, one.frames, frames.block, frames.mean, frames.low]
        row += [frames.high, frames.p, one.corrected, len(one.per_seed), one.agreeing]
        row += [None] * 4 if seeds is None else [seeds.mean, seeds.low, seeds.high, seeds.p]
        rows.append([*row, f"{VERDICTS[one.verdict][1]}; {_seed_words(one)}"])
    return csv_text([*titles.split(), "seed_high", "seed_p", "verdict"], rows)


def _row(mine: Sequence[Difference], titles: Sequence[str]) -> list[Cell]:
    least, most = min(one.frames for one in mine), max(one.frames for one in mine)
    frames = str(least) if least == most else f"{least} to {most}"
    texts = dict.fromkeys(titles, NONE)
    for one in mine:
        texts[one.column.title] = _signed(one, one.over_frames.mean)
        if one.over_frames.low is not None:
            low, high = _signed(one, one.over_frames.low), _signed(one, one.over_frames.high)
            texts[one.column.title] += f" [{low}, {high}]"
        texts[one.column.title] += f" {VERDICTS[one.verdict][0]}".rstrip()
    seeds = str(len(mine[0].per_seed) or "none")
    return [Cell(text) for text in (mine[0].group, frames, seeds, *texts.values())]


def _statement(mine: Sequence[Difference]) -> str:
    frames = f"{min(one.frames for one in mine)}" + ("" if len({one.frames for one in mine}) == 1 else " or more")
    sentences = []
    for verdict, (_, words) in VERDICTS.items():
        listed = []
        for one in (one for one in mine if one.verdict == verdict):
            agreement = f" ({one.agreeing} of {len(one.per_seed)} seeds)" if len(one.per_seed) > 1 else ""
            listed.append(f"{one.column.title} {_signed(one, one.over_frames.mean)}{agreement}")
        if listed:
            sentences.append(f"{words.replace('these', f'these {frames}')}: {', '.join(listed)}")
    return f"{mine[0].group} against {mine[0].reference}: {'; '.join(sentences)}. {_conclusion(mine)}"


def _conclusion(mine: Sequence[Difference]) -> str:
    if not mine[0].per_seed:
        return "They have no seed in common: what other seeds would give cannot be told from pairs."
    if len(mine[0].per_seed) == 1:
        return "One seed: nothing is known about other seeds."
    firm = [one.column.title for one in mine if one.beyond_seeds and one.verdict in ("better", "worse")]
    if firm:
        return f"Larger than chance over seeds as well: {', '.join(firm)}."
    return f"None of it is larger than chance over {len(mine[0].per_seed)} seeds as well."


def _seed_words(one: Difference) -> str:
    count = len(one.per_seed)
    if count < 2:
        return "one seed: nothing is known about other seeds" if count else "no seed in common"
    inside = "larger than chance over seeds" if one.beyond_seeds else "no larger than chance over seeds"
    return f"{one.agreeing} of {count} seeds agree in sign, {inside}"


def _signed(one: Difference, value: float) -> str:
    return f"{value:+.{one.column.digits}f}".replace("-", "−")
