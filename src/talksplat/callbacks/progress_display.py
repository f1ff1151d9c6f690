"""Progress on the console: bars and a line of numbers on a terminal, lines of the log elsewhere."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

logger = logging.getLogger(__name__)


class View(NamedTuple):
    """Current part, its units, the fraction of the run that is done, and texts."""

    label: str
    done: int
    total: int
    fraction: float
    numbers: str
    left: str


class PlainLines:
    """A line of the log every now and then."""

    every = 15.0  # seconds
    at_once = False  # a part that has just begun has no numbers yet

    def start(self) -> None:
        """No-op."""

    stop = start

    def show(self, view: View) -> None:
        """Log one line."""
        numbers = f"  {view.numbers}" if view.numbers else ""
        logger.info("%s  %d/%d%s  left %s", view.label, view.done, view.total, numbers, view.left)


class LiveBars(Progress):
    """Bars of the whole run and of the current part on a terminal, refreshed in place; log lines appear above them."""

    every = 0.25  # seconds
    at_once = True

    def __init__(self, console: Console) -> None:
        self._numbers = Text()
        self._log = ExitStack()
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[state]}"))
        super().__init__(*columns, TimeElapsedColumn(), console=console, refresh_per_second=2)
        self._run = self.add_task("whole run", total=1.0, state="")
        self._part = self.add_task("", state="", visible=False)

    def get_renderables(self) -> Iterable[RenderableType]:
        """Bars, then the numbers."""
        yield from super().get_renderables()
        yield self._numbers

    def start(self) -> None:
        """Draw, and lead log lines past the bars."""
        super().start()
        self._log.enter_context(_logs_above())

    def stop(self) -> None:
        """Leave the last picture on the terminal and the log as it was."""
        super().stop()
        self._log.close()

    def show(self, view: View) -> None:
        """Move the bars."""
        if self.tasks[1].description != view.label:
            self.reset(self._part, description=view.label, total=view.total, visible=True, state="")
        self.update(self._run, completed=view.fraction, state=f"{view.fraction:4.0%}  left {view.left}")
        self._numbers.plain = view.numbers
        self.update(self._part, completed=view.done, state=f"{view.done:,}/{view.total:,}", refresh=True)


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
