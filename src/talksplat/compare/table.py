"""The table of a comparison: rows of values, and how they are written."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rich.markup import escape
from rich.table import Table as RichTable

from talksplat.compare.run_result import RunResult

MAX_BESIDE = 6  # runs that a terminal shows as columns


@dataclass(frozen=True)
class Column:
    """One column. `better` is +1 where more is better, -1 where less is, 0 where neither."""

    title: str
    value: Callable[[RunResult], object]
    digits: int | None = None
    better: int = 0
    metric: str | None = None  # name in metrics.json
    timed: bool = False  # depends on the machine


@dataclass
class Cell:
    """A formatted value; `note` is the number of a footnote."""

    text: str
    best: bool = False
    note: int | None = None


@dataclass
class ComparisonTable:
    """Titles, rows of cells and footnotes."""

    titles: list[str]
    rows: list[list[Cell]]
    notes: list[str] = field(default_factory=list)

    def markdown(self) -> str:
        """Best values bold; footnotes below."""
        lines = ["| " + " | ".join(self.titles) + " |", "|" + "---|" * len(self.titles)]
        lines += ["| " + " | ".join(_markdown_cell(cell) for cell in row) + " |" for row in self.rows]
        lines += [""] + [f"[{number}] {note}  " for number, note in enumerate(self.notes, 1)]
        return "\n".join(lines).rstrip() + "\n"

    def rich(self) -> RichTable:
        """The same for a terminal; few runs stand beside each other, since that is narrower."""
        notes = "\n".join(escape(f"[{i}] {note}") for i, note in enumerate(self.notes, 1))
        table = RichTable(caption=notes or None, caption_justify="left")
        lines = [[escape(title) for title in self.titles]] + [[_rich_cell(cell) for cell in row] for row in self.rows]
        if len(self.rows) <= MAX_BESIDE:
            lines = [list(line) for line in zip(*lines)]
        for index, title in enumerate(lines[0]):
            table.add_column(title, justify="left" if index == 0 else "right", overflow="fold")
        for line in lines[1:]:
            table.add_row(*line)
        return table


def columns_of(runs: Sequence[RunResult]) -> list[Column]:
    """Columns of the comparison of these runs."""
    fitted = Column("composite PSNR, fitted poses", lambda run: run.metrics.get("aligned", {}).get("psnr_composite"), 2)
    return [
        Column("run", lambda run: run.name),
        Column("model", lambda run: run.model),
        Column("stage", lambda run: run.stage),
        Column("seed", lambda run: run.seed, 0),
        _metric("PSNR", "psnr", 2, +1),
        _metric("SSIM", "ssim", 4, +1),
        _metric(f"LPIPS ({lpips_net(runs)})", "lpips", 4, -1),
        _metric("head PSNR", "psnr_head", 2, +1),
        _metric("mouth PSNR", "psnr_mouth", 2, +1),
        _metric("composite PSNR", "psnr_composite", 2, +1),
        _metric("LMD (px)", "lmd", 3, -1),
        _metric("mouth correlation", "mouth_correlation", 3, +1),
        _metric("lip-gap correlation", "lip_gap_correlation", 3, +1),
        *([fitted] if any(fitted.value(run) is not None for run in runs) else []),
        Column("Gaussians", lambda run: run.metrics.get("num_gaussians"), 0),
        Column("training (s)", lambda run: run.training_seconds, 0, -1, timed=True),
        Column("FPS", lambda run: run.metrics.get("fps"), 1, +1, timed=True),
        Column("hardware", lambda run: run.hardware),
    ]


def build_table(runs: Sequence[RunResult]) -> ComparisonTable:
    """Rows in the order of the runs. Times are only ranked where all runs had the same hardware."""
    columns = columns_of(runs)
    table = ComparisonTable([column.title for column in columns], [[] for _ in runs])
    same_hardware = len({run.hardware for run in runs}) == 1
    for column in columns:
        values = [column.value(run) for run in runs]
        texts = [_format(value, column.digits) for value in values]
        ranked = len(runs) > 1 and column.better != 0 and (same_hardware or not column.timed)
        best = max((column.better * v for v in values if v is not None), default=None) if ranked else None
        # What looks the same is marked the same.
        winner = None if best is None else _format(column.better * best, column.digits)
        for row, run, value, text in zip(table.rows, runs, values, texts):
            note = None if value is not None else _note(table.notes, column, run)
            row.append(Cell(text, text == winner, note))
    return table


def csv_text(runs: Sequence[RunResult]) -> str:
    """All values at full precision; empty where there is none."""
    columns = columns_of(runs)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([column.metric or column.title.split(" (")[0] for column in columns] + ["path"])
    for run in runs:
        writer.writerow([column.value(run) for column in columns] + [str(run.path)])
    return stream.getvalue()


def lpips_net(runs: Sequence[RunResult]) -> str:
    """Backbone of LPIPS as the runs' definitions name it."""
    for run in sorted(runs, key=lambda run: run.mean("lpips") is None):
        found = re.search(r"backbone: (\w+)", run.metrics["definitions"].get("lpips", ""))
        if found and found[1] != "not":
            return found[1]
    return "off"


def _metric(title: str, name: str, digits: int, better: int) -> Column:
    return Column(title, lambda run: run.mean(name), digits, better, metric=name)


def _note(notes: list[str], column: Column, run: RunResult) -> int:
    reason = run.reason(column.metric) if column.metric else "the run did not note it"
    text = f"{column.title}: {reason}"
    if text not in notes:
        notes.append(text)
    return notes.index(text) + 1


def _format(value: object, digits: int | None) -> str:
    if value is None:
        return "n/a"
    return str(value) if digits is None else f"{value:.{digits}f}"


def _plain(cell: Cell) -> str:
    return cell.text if cell.note is None else f"{cell.text} [{cell.note}]"


def _rich_cell(cell: Cell) -> str:
    text = escape(_plain(cell))
    return f"[bold]{text}[/bold]" if cell.best else text


def _markdown_cell(cell: Cell) -> str:
    text = _plain(cell).replace("|", "\\|")
    return f"**{text}**" if cell.best else text
