"""Two bars and a line of numbers on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class View:
    """What is shown: the part in hand, where it is, and texts."""

    label: str
    done: int
    total: int
    fraction: float
    numbers: str
    left: str


class PlainLines:
    """A line of the log every now and then."""

    every = 15.0  # seconds
    at_once = False  # a part that has just begun has nothing to say yet

    def start(self) -> None:
        """Nothing to open."""

    def show(self, view: View) -> None:
        """Log one line."""
        numbers = f"  {view.numbers}" if view.numbers else ""
        logger.info("%s  %d/%d%s  left %s", view.label, view.done, view.total, numbers, view.left)

    def stop(self) -> None:
        """Nothing to close."""


class LiveBars:
    """The whole run and the part in hand, refreshed in place; log lines appear above them.

    Args:
        console: a terminal.
    """

    every = 0.25  # seconds
    at_once = True

    def __init__(self, console: Console) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[state]}"))
        self._bars = Progress(*columns, TimeElapsedColumn(), console=console, auto_refresh=False)
        self._run = self._bars.add_task("whole run", total=1.0, state="")
        self._part: Any = None
        self._numbers = Text()
        self._live = Live(Group(self._bars, self._numbers), console=console, refresh_per_second=2)

    def start(self) -> None:
        """Draw, and lead log lines past the bars."""
        self._open = ExitStack()
        self._open.enter_context(self._live)
        self._open.enter_context(_logs_above())

    def show(self, view: View) -> None:
        """Move the bars."""
        if self._part is None or self._bars.tasks[-1].description != view.label:
            if self._part is not None:
                self._bars.remove_task(self._part)
            self._part = self._bars.add_task(view.label, total=view.total, state="")
        self._bars.update(self._run, completed=view.fraction, state=f"{view.fraction:4.0%}  left {view.left}")
        self._bars.update(self._part, completed=view.done, state=f"{view.done:,}/{view.total:,}")
        self._numbers.plain = view.numbers

    def stop(self) -> None:
        """Leave the last picture on the terminal and the log as it was."""
        self._open.close()


@contextmanager
def _logs_above() -> Iterator[None]:
    """While bars are live, handlers that hold the real standard streams write through rich's stand-ins: a line that went
    past them would tear the bars."""
    stand_ins = {getattr(file, "rich_proxied_file", file): file for file in (sys.stdout, sys.stderr)}
    changed = []
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream in stand_ins:
            changed.append((handler, handler.stream))
            handler.setStream(stand_ins[handler.stream])
    try:
        yield
    finally:
        for handler, stream in changed:
            handler.setStream(stream)


def display_for(console: Console) -> PlainLines | LiveBars:
    """Bars where the console is a terminal."""
    return LiveBars(console) if console.is_terminal else PlainLines()
