"""The table with a row for each run."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from talksplat.compare.columns import columns_of, may_rank
from talksplat.compare.marks import marks
from talksplat.compare.ranking import add_ranks
from talksplat.compare.run_result import RunResult
from talksplat.compare.table import Cell, ComparisonTable


def build_table(runs: Sequence[RunResult], ranked: bool = False) -> ComparisonTable:
    """Rows in the order of the runs. Times are only ranked where all runs had the same hardware. `ranked` adds the mean rank
    over the metrics."""
    columns = columns_of(runs)
    table = ComparisonTable([column.title for column in columns], [[] for _ in runs])
    for column in columns:
        values = [column.value(run) for run in runs]
        texts = [column.format(value) for value in values]
        found = marks(values, texts, column.better) if may_rank(column, runs) else [None] * len(runs)
        for row, run, value, text, mark in zip(table.rows, runs, values, texts, found):
            note = None if value is not None else table.note(column.reason(run))
            row.append(Cell(text, mark, note))
    if ranked:
        add_ranks(table, columns, lambda column: [column.value(run) for run in runs])
    return table


def csv_text(runs: Sequence[RunResult]) -> str:
    """All values at full precision, empty where there is none; and where each run comes from."""
    columns = columns_of(runs)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([column.key for column in columns] + ["commit", "command", "path"])
    for run in runs:
        origin = [run.commit, run.info.get("command"), str(run.path)]
        writer.writerow([column.value(run) for column in columns] + origin)
    return stream.getvalue()
