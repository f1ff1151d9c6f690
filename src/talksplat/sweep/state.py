"""State of a job: `job.json` in its run folder, and locks that live as long as the processes that work on it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from filelock import FileLock, Timeout

from talksplat.files import write_json

WAITING, RUNNING, DONE, FAILED, INTERRUPTED, PRUNED = "waiting", "running", "done", "failed", "interrupted", "pruned"
ENDED = (DONE, PRUNED)  # never run again
EXIT_CODES = {DONE: 0, FAILED: 1, INTERRUPTED: 75, PRUNED: 76}  # of a job's process; 75 is EX_TEMPFAIL: try again
# The supervisor's covers the start of the job's process, the process's own its end, should its supervisor be killed.
SUPERVISOR_LOCK, JOB_LOCK = LOCKS = (".supervisor.lock", ".job.lock")
LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class JobState:
    """State of a job, and its latest attempt. `seconds` counts its process from start to end, over all attempts."""

    state: str = WAITING
    attempts: int = 0
    seconds: float | None = None
    started: str | None = None
    ended: str | None = None
    host: str | None = None
    pid: int | None = None
    gpu: str | None = None
    error: str | None = None


def read_state(run_dir: Path) -> JobState:
    """State of the job whose run folder this is: `job.json`, corrected by what else is there.

    A job whose supervisor was killed may have finished all the same, or have died with it.
    """
    try:
        noted = JobState(**json.loads((run_dir / "job.json").read_text()))
    except (OSError, ValueError, TypeError):
        noted = JobState()
    if noted.state == RUNNING and is_held(run_dir):
        return noted
    if (run_dir / "metrics.json").is_file():
        return replace(noted, state=DONE, error=None)
    if noted.state == RUNNING:
        return replace(noted, state=INTERRUPTED, error="its process is gone")
    return noted


def write_state(run_dir: Path, state: JobState) -> None:
    """Replace `job.json`."""
    run_dir.mkdir(parents=True, exist_ok=True)
    write_json(run_dir / "job.json", asdict(state))


@contextmanager
def holding(run_dir: Path, lock: str, give_up: Callable[[], bool] = lambda: False) -> Iterator[bool]:
    """Hold one of `LOCKS` in a run folder; waits while another process does. The system frees the locks of a killed one.

    Yields:
        whether the lock is held: not where `give_up` ended the waiting.
    """
    try:
        held = FileLock(run_dir / lock).acquire(poll_interval=LOOK_SECONDS, cancel_check=give_up)
    except Timeout:
        yield False
        return
    with held:
        yield True


def is_held(run_dir: Path) -> bool:
    """Whether a process works in this run folder, or is about to."""
    for lock in LOCKS:
        try:
            with FileLock(run_dir / lock, timeout=0):
                pass
        except Timeout:
            return True
    return False
