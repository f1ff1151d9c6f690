"""A progress bar with the time left, for any loop of a step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Item = TypeVar("Item")


class ProgressBars:
    """Bars on a console; silent where the console is no terminal, as in logs and tests."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)

    def __call__(self, items: Iterable[Item], name: str, total: int | None = None) -> Iterator[Item]:
        """The items, with a bar that advances as they are consumed."""
        total = len(items) if total is None and isinstance(items, Sized) else total
        columns = [
            TextColumn("{task.description:<14}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        ]
        with Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal) as progress:
            task = progress.add_task(name, total=total)
            for item in items:
                yield item
                progress.advance(task)
