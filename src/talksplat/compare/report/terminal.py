"""Sections on a terminal."""

from __future__ import annotations

from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table as RichTable

from talksplat.compare.document import Cell, Section, Table

MAX_ROWS = 24
MAX_BESIDE = 4  # rows that stand next to each other, as columns


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
