"""Progress of a sweep while its jobs run: a live table on a terminal, plain lines elsewhere, `status.csv` always."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from talksplat.errors import UserError
from talksplat.sweep.folder import Job, SweepFolder
from talksplat.sweep.state import DONE, FAILED, INTERRUPTED, PRUNED, RUNNING, WAITING, JobState

logger = logging.getLogger(__name__)
LOOK_SECONDS = 0.5
PLAIN_SECONDS = 60.0  # between lines of progress, where there is no terminal
SHOWN = 24  # rows of the live table: a terminal shows no more
STYLES = {  # in the order of the table, where not all jobs fit
    RUNNING: "cyan",
    FAILED: "bold red",
    INTERRUPTED: "yellow",
    WAITING: "dim",
    PRUNED: "magenta",
    DONE: "green",
}


class Monitor:
    """A thread that looks at the jobs' folders, as the jobs may run anywhere, `slots` of them at the same time."""

    def __init__(self, folder: SweepFolder, jobs: Sequence[Job], slots: int, console: Console | None = None) -> None:
        self.folder = folder
        self.jobs = list(jobs)
        self.slots = slots
        self.console = console or Console(highlight=False, soft_wrap=True)
        self.states = {job.name: folder.state(job.name) for job in self.jobs}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._live = Live(console=self.console, auto_refresh=False, transient=True)
        self._said = time.monotonic()

    def __enter__(self) -> Monitor:
        if self.console.is_terminal:
            self._live.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        try:
            self._look()
        except (OSError, UserError) as error:
            logger.warning("the sweep's status.csv: %s", error)
        finally:
            self._live.stop()

    def _watch(self) -> None:
        while not self._end.wait(LOOK_SECONDS):
            try:
                self._look()
            except Exception as error:  # a full disk, a share that is away: the jobs must not suffer
                logger.debug("cannot look at the sweep: %s", error)

    def _look(self) -> None:
        states = {job.name: self.folder.state(job.name) for job in self.jobs}
        before, self.states = self.states, states
        for name, state in states.items():
            if state.state != before[name].state:
                self._announce(name, state)
        if states != before:
            self.folder.write_status(self.jobs)
        running = [name for name, state in states.items() if state.state == RUNNING]
        progress = {name: read_progress(self.folder.job_dir(name)) for name in running}
        if self.console.is_terminal:
            self._live.update(self._table(progress), refresh=True)
        elif time.monotonic() - self._said > PLAIN_SECONDS:
            self._said = time.monotonic()
            self.console.print(self._summary(progress), markup=False)

    def _announce(self, name: str, state: JobState) -> None:
        took = f" after {duration(state.seconds)}" if state.seconds is not None and state.state != RUNNING else ""
        where = f" on GPU {state.gpu}" if state.gpu and state.state == RUNNING else ""
        text = f"{name}: {state.state}{took}{where}" + (f": {state.error}" if state.error else "")
        if state.state == FAILED:
            text += f" (log: {self.folder.log(name)})"
        self.console.print(Text(text, style=STYLES[state.state]))

    def _summary(self, progress: dict[str, dict[str, Any]]) -> str:
        count = {state: sum(one.state == state for one in self.states.values()) for state in STYLES}
        parts = [f"{number} {state}" for state, number in count.items() if number]
        left = seconds_left(list(self.states.values()), list(progress.values()), self.slots)
        text = "" if left is None else f"; about {duration(left)} left"
        return f"{', '.join(parts)} of {len(self.jobs)} jobs{text}"

    def _table(self, progress: dict[str, dict[str, Any]]) -> Group:
        table = Table(box=None, padding=(0, 2, 0, 0))
        for title in ("job", "state", "so far", "stage", "step", "PSNR", "left"):
            table.add_column(title, justify="left" if title in ("job", "state", "stage") else "right", no_wrap=True)
        rows = list(self.states.items())
        if len(rows) > SHOWN:
            rows = sorted(rows, key=lambda row: list(STYLES).index(row[1].state))[:SHOWN]
        for name, state in rows:
            done = progress.get(name, {})
            step = f"{done['step']}/{done['steps']}" if done.get("step") is not None else ""
            psnr = f"{done['psnr']:.1f}" if done.get("psnr") is not None else ""
            times = ["" if one is None else duration(one) for one in (state.seconds, done.get("seconds_left"))]
            shown = Text(state.state, style=STYLES[state.state])
            table.add_row(name, shown, times[0], str(done.get("stage") or ""), step, psnr, times[1])
        hidden = len(self.jobs) - len(rows)
        more = [Text(f"and {hidden} more in {self.folder.path / 'status.csv'}", style="dim")] if hidden else []
        return Group(table, *more, Text(self._summary(progress), style="bold"))


def read_progress(run_dir: Path) -> dict[str, Any]:
    """Content of a run's `progress.json`; empty before there is one."""
    try:
        return json.loads((run_dir / "progress.json").read_text())
    except (OSError, ValueError):
        return {}


def seconds_left(states: Sequence[JobState], progress: Sequence[dict[str, Any]], slots: int) -> float | None:
    """Time until all jobs have ended; None: unknown.

    Jobs that wait or have no estimate yet count as the mean of those that are done, otherwise of those with an estimate.
    """
    estimates = [one for one in progress if one.get("seconds_left") is not None]
    running = [one["seconds_left"] for one in estimates]
    usual = [state.seconds for state in states if state.state == DONE and state.seconds]
    usual = usual or [
        one["seconds_left"] / (1 - one["fraction"]) for one in estimates if 0 <= one.get("fraction", 1) < 1
    ]
    others = sum(state.state in (WAITING, INTERRUPTED, RUNNING) for state in states) - len(running)
    if not running and not usual or others and not usual:
        return None
    return (sum(running) + (others * sum(usual) / len(usual) if others else 0.0)) / max(slots, 1)


def duration(seconds: float) -> str:
    """Like 42 s, 3:07 min, 5:12 h."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60}:{whole % 60:02d} min" if whole < 3600 else f"{whole // 3600}:{whole % 3600 // 60:02d} h"
