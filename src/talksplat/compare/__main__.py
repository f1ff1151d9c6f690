"""Compares runs: `python -m talksplat.compare runs=outputs/a,outputs/b out=outputs/compare`.

`runs` takes run folders, folders that hold run folders, and globs, with commas between them. `published=auto` sets the tables of papers beside them that have rows for them. `reference=` names the group that the others
are compared with. `foreign=Wav2Lip:video.mp4,SadTalker:frames` measures rendered videos of other projects.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table as RichTable

from talksplat.compare.document import RESULT, Cell, Section, Table
from talksplat.compare.report.write import compare_runs
from talksplat.config import CONF_DIR, compose
from talksplat.entry_points import exits_cleanly
from talksplat.errors import UserError
from talksplat.locks import locked

MAX_ROWS = 24
MAX_BESIDE = 4  # rows that stand next to each other, as columns


def compare(config: DictConfig) -> None:
    """Compare as configured and print the tables."""
    if not config.runs or not (isinstance(config.runs, str) or OmegaConf.is_list(config.runs)):
        raise UserError(f"runs={config.runs}: give run folders, e.g. runs=outputs/a,outputs/b")
    out = Path(config.out).expanduser()
    settings = ("overwrite", "video", "reference", "foreign", "worst_frames", "trust")
    with locked(out, "give another out=FOLDER", inside=True):
        data = compare_runs(
            config.runs,
            out,
            published=[name.strip() for name in (config.published or "").split(",") if name.strip()],
            **{name: config[name] for name in settings},
        )
    console = Console(highlight=False)
    for section in data.sections:
        if section.kind == RESULT:
            print_section(console, section)
    console.print(f"written to {config.out}", markup=False, soft_wrap=True)


def print_section(console: Console, section: Section) -> None:
    """What stands above a table, the table, and lists; a table of many rows is left to the files."""
    console.print(f"\n{section.title}", markup=False, soft_wrap=True)
    explained = False
    for part in section.parts:
        if isinstance(part, Table):
            explained = True  # what is said about a table's making is in the file
            long = len(part.rows) > MAX_ROWS
            console.print(f"{len(part.rows)} rows: see the files" if long else rich_table(part))
        elif isinstance(part, list):
            console.print("\n".join(f"- {line}" for line in part), markup=False, soft_wrap=True)
        elif not explained:
            console.print(part, markup=False, soft_wrap=True)


def rich_table(table: Table) -> Group:
    """A table for 100 columns: rows stand next to each other, a few at a time."""
    blocks = []
    for start in range(0, len(table.rows), MAX_BESIDE):
        rows = [[_rich_cell(cell) for cell in row] for row in table.rows[start : start + MAX_BESIDE]]
        first, *lines = zip(map(escape, table.titles), *rows)
        block = RichTable()
        for index, title in enumerate(first):
            block.add_column(title, justify="right" if index else "left", no_wrap=not index, overflow="fold")
        for line in lines:
            block.add_row(*line)
        blocks.append(block)
    return Group(*blocks, *map(escape, table.below))


def _rich_cell(cell: Cell) -> str:
    style = {"best": "bold", "second": "underline"}.get(cell.mark)
    return f"[{style}]{escape(cell.plain)}[/{style}]" if style else escape(cell.plain)


@exits_cleanly
def main() -> None:
    """The command."""
    arguments = sys.argv[1:]
    if {"-h", "--help"} & set(arguments):
        Console(highlight=False, markup=False).print(f"{__doc__}\n{(CONF_DIR / 'compare.yaml').read_text()}")
        return
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    compare(compose("compare", arguments))


if __name__ == "__main__":
    main()
