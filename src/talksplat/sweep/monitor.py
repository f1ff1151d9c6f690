"""Watches a sweep's folder while its jobs run: a live table on a terminal, plain lines elsewhere, `status.csv` always."""

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
PLAIN_SECONDS = 60.0  # between lines that say how far a sweep is, where there is no terminal
SHOWN = 24  # rows of the live table: a terminal shows no more
STYLES = {DONE: "green", FAILED: "bold red", RUNNING: "cyan", INTERRUPTED: "yellow", PRUNED: "magenta"}


class Monitor:
    """A thread that looks at the jobs' folders, as the jobs may run anywhere.

    Args:
        folder, jobs: of the sweep.
        slots: jobs that run at the same time, for the time left.
    """

    def __init__(self, folder: SweepFolder, jobs: Sequence[Job], slots: int, console: Console | None = None) -> None:
        self.folder = folder
        self.jobs = list(jobs)
        self.slots = slots
        self.console = console or Console(highlight=False, soft_wrap=True)
        self.states = {job.name: folder.state(job.name) for job in self.jobs}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._live = (
            Live(console=self.console, auto_refresh=False, transient=True) if self.console.is_terminal else None
        )
        self._said = time.monotonic()

    def __enter__(self) -> Monitor:
        if self._live:
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
            if self._live:
                self._live.stop()

    def _watch(self) -> None:
        while not self._end.wait(LOOK_SECONDS):
            try:
                self._look()
            except Exception as error:  # a full disk, a share that is away: the jobs must not suffer
                logger.debug("cannot look at the sweep: %s", error)

    def _look(self) -> None:
        changed = False
        for job in self.jobs:
            state = self.folder.state(job.name)
            if state != self.states[job.name]:
                changed = True
                if state.state != self.states[job.name].state:
                    self._say(job.name, state)
                self.states[job.name] = state
        if changed:
            self.folder.write_status(self.jobs)
        progress = {
            name: read_progress(self.folder.job_dir(name)) for name, s in self.states.items() if s.state == RUNNING
        }
        if self._live:
            self._live.update(self._table(progress), refresh=True)
        elif time.monotonic() - self._said > PLAIN_SECONDS:
            self._said = time.monotonic()
            self.console.print(self._summary(progress), markup=False)

    def _say(self, name: str, state: JobState) -> None:
        took = f" after {duration(state.seconds)}" if state.seconds is not None and state.state != RUNNING else ""
        where = f" on GPU {state.gpu}" if state.gpu and state.state == RUNNING else ""
        text = f"{name}: {state.state}{took}{where}" + (f": {state.error}" if state.error else "")
        if state.state == FAILED:
            text += f" (all of it: {self.folder.log(name)})"
        self.console.print(Text(text, style=STYLES.get(state.state, "")))

    def _summary(self, progress: dict[str, dict[str, Any]]) -> str:
        count = {state: sum(one.state == state for one in self.states.values()) for state in (*STYLES, WAITING)}
        parts = [f"{number} {state}" for state, number in count.items() if number]
        left = seconds_left(list(self.states.values()), list(progress.values()), self.slots)
        return f"{', '.join(parts)} of {len(self.jobs)} jobs" + (
            "" if left is None else f"; about {duration(left)} left"
        )

    def _table(self, progress: dict[str, dict[str, Any]]) -> Group:
        table = Table(box=None, padding=(0, 2, 0, 0))
        for title in ("job", "state", "so far", "stage", "step", "PSNR", "left"):
            table.add_column(title, justify="left" if title in ("job", "state", "stage") else "right", no_wrap=True)
        for name, state in self._rows():
            done = progress.get(name, {})
            step = f"{done['step']}/{done['steps']}" if done.get("step") is not None else ""
            psnr = f"{done['psnr']:.1f}" if done.get("psnr") is not None else ""
            left = duration(done["seconds_left"]) if done.get("seconds_left") is not None else ""
            took = "" if state.seconds is None else duration(state.seconds)
            style = STYLES.get(state.state, "dim")
            table.add_row(name, Text(state.state, style=style), took, str(done.get("stage") or ""), step, psnr, left)
        hidden = len(self.jobs) - table.row_count
        more = [Text(f"and {hidden} more in {self.folder.path / 'status.csv'}", style="dim")] if hidden else []
        return Group(table, *more, Text(self._summary(progress), style="bold"))

    def _rows(self) -> list[tuple[str, JobState]]:
        """What is going on first, where not all fit."""
        rows = list(self.states.items())
        if len(rows) <= SHOWN:
            return rows
        order = [RUNNING, FAILED, INTERRUPTED, WAITING, PRUNED, DONE]
        return sorted(rows, key=lambda row: order.index(row[1].state))[:SHOWN]


def read_progress(run_dir: Path) -> dict[str, Any]:
    """What a run says about how far it is (callbacks.progress); empty before it says anything."""
    try:
        return json.loads((run_dir / "progress.json").read_text())
    except (OSError, ValueError):
        return {}


def seconds_left(states: Sequence[JobState], progress: Sequence[dict[str, Any]], slots: int) -> float | None:
    """Time until all jobs have ended: those waiting take as long as those that are done or foresee their end; None before
    any of them does."""
    known = [state.seconds for state in states if state.state == DONE and state.seconds]
    running = [one["seconds_left"] for one in progress if one.get("seconds_left") is not None]
    foreseen = [
        one["seconds_left"] / (1 - one["fraction"])
        for one in progress
        if one.get("seconds_left") is not None and 0 <= one.get("fraction", 1) < 1
    ]
    usual = known or foreseen
    waiting = sum(state.state in (WAITING, INTERRUPTED) for state in states)
    silent = sum(state.state == RUNNING for state in states) - len(running)
    if not usual:
        return sum(running) / slots if running and not waiting and not silent else None
    return (sum(running) + (waiting + silent) * sum(usual) / len(usual)) / max(slots, 1)


def duration(seconds: float) -> str:
    """Like 42 s, 3:07 min, 5:12 h."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60}:{whole % 60:02d} min" if whole < 3600 else f"{whole // 3600}:{whole % 3600 // 60:02d} h"
