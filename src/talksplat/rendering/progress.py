"""Progress of a rendering: a live bar with the time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

logger = logging.getLogger(__name__)
PLAIN_SECONDS = 10.0  # between lines where there is no terminal


class RenderProgress:
    """Context manager; `advance` counts frames.

    Args:
        total: frames in all.
        console: where to show it; None: the standard output.
    """

    def __init__(self, total: int, console: Console | None = None) -> None:
        self.total, self.done = total, 0
        self._console = console or Console()
        self._bar: Progress | None = None

    def __enter__(self) -> RenderProgress:
        self._started = self._shown = time.perf_counter()
        if self._console.is_terminal:
            columns = (TextColumn("rendering"), BarColumn(), MofNCompleteColumn(), TextColumn("left"))
            self._bar = Progress(*columns, TimeRemainingColumn(), console=self._console)
            self._bar.start()
            self._task = self._bar.add_task("rendering", total=self.total)
        return self

    def advance(self, frames: int) -> None:
        """Count `frames` more as done."""
        self.done += frames
        if self._bar is not None:
            self._bar.update(self._task, completed=self.done)
            return
        now = time.perf_counter()
        if now - self._shown >= PLAIN_SECONDS and self.done < self.total:
            self._shown = now
            left = (self.total - self.done) * (now - self._started) / self.done
            logger.info("rendering %d/%d frames  left %d:%02d", self.done, self.total, *divmod(round(left), 60))

    def __exit__(self, *_) -> None:
        if self._bar is not None:
            self._bar.stop()
