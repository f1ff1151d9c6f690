"""How far a job of a sweep is: `job.json` in its run folder, and a lock that lives as long as its process."""

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
EXIT_FAILED, EXIT_INTERRUPTED, EXIT_PRUNED = 1, 75, 76  # of a job's process; 75 is EX_TEMPFAIL: try again
PARENT_VARIABLE = "TALKSPLAT_SUPERVISOR"  # tells a job's process the id of its supervisor
# The supervisor's covers the start of the job's process, the process's own its end, should its supervisor be killed.
LOOK_SECONDS = 1.0
SUPERVISOR_LOCK, JOB_LOCK = LOCKS = (".supervisor.lock", ".job.lock")


@dataclass(frozen=True)
class JobState:
    """State of a job, and who worked on it last. `seconds` counts its process from start to end, over all attempts."""

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
    """State of the job whose run folder this is: what was noted, corrected by what is there.

    A job whose supervisor was killed may have finished all the same, or have died with it.
    """
    noted = _noted(run_dir)
    if noted.state == RUNNING and is_held(run_dir):
        return noted
    if (run_dir / "metrics.json").is_file():
        return replace(noted, state=DONE, error=None)
    if noted.state == RUNNING:
        return replace(noted, state=INTERRUPTED, error="its process is gone")
    return noted


def write_state(run_dir: Path, state: JobState) -> None:
    """Replace the note."""
    run_dir.mkdir(parents=True, exist_ok=True)
    write_json(run_dir / "job.json", asdict(state))


@contextmanager
def holding(run_dir: Path, lock: str, give_up: Callable[[], bool] = lambda: False) -> Iterator[bool]:
    """Hold one of `LOCKS` in a run folder; waits while another process does. The system frees the locks of a killed one.

    Args:
        run_dir: the run folder.
        lock: one of `LOCKS`.
        give_up: asked now and then while waiting.

    Yields:
        whether the lock is held: not where waiting was given up.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    file = FileLock(run_dir / lock)
    while True:
        try:
            file.acquire(timeout=LOOK_SECONDS)
            break
        except Timeout:
            if give_up():
                yield False
                return
    try:
        yield True
    finally:
        file.release()


def is_held(run_dir: Path) -> bool:
    """Whether a process works in this run folder, or is about to."""
    return any(_is_locked(run_dir / lock) for lock in LOCKS)


def _is_locked(path: Path) -> bool:
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def _noted(run_dir: Path) -> JobState:
    try:
        return JobState(**json.loads((run_dir / "job.json").read_text()))
    except (OSError, ValueError, TypeError):
        return JobState()
