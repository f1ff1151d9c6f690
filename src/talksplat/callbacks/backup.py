"""Copies what a run cannot do without to another place while it trains."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from pytorch_lightning.utilities import rank_zero_only

from talksplat.callbacks.backup_target import BackupTarget, check_target
from talksplat.errors import UserError

logger = logging.getLogger(__name__)
# Of a stage: the mark of its end is looked for first and copied last, so that it never stands beside an older checkpoint.
STAGE_FILES = ("last.ckpt", "best.ckpt", "best.json")
STAGE_END = "finished.json"
RUN_CHECKPOINTS = ("last.ckpt", "best.ckpt")
RUN_INFO, RUN_END = "run_info.json", "metrics.json"


class Backup:
    """Best and newest checkpoints, metric history, configuration and, at the end, `metrics.json` and `test/`: enough to go
    on with `resume=true` in a folder that is copied back.

    A thread of its own copies, so training never waits; only the end of a run does, for a limited time. A target that fails
    is warned about, once for each kind of failure, and tried again.

    Args:
        target: anything that fsspec knows (`s3://bucket/runs`, `gs://...`, `ssh://host/runs`, `/mnt/nas/runs`); the run's
            folder comes below it. None: no backup.
        every_minutes: between copies; the first one is made at once, to find out whether it works.
        wait_seconds: how long the end of a run waits for the last copy.
    """

    def __init__(self, target: str | None = None, every_minutes: float = 10.0, wait_seconds: float = 300.0) -> None:
        if every_minutes <= 0 or wait_seconds < 0:
            raise UserError("backup.every_minutes must be positive, and backup.wait_seconds at least 0")
        self.target = target
        self.every_seconds = 60.0 * every_minutes
        self.wait_seconds = wait_seconds
        self._end = threading.Event()
        self._warned: set[str] = set()
        self._failure: str | None = None
        self._place: BackupTarget | None = None
        self._copied: dict[str, tuple[int, ...]] = {}

    def check_available(self, run_dir: Path) -> None:
        """Check the target without reaching for it.

        Raises:
            UserError: it can never work.
        """
        if self.target is not None:
            check_target(self.target, run_dir)

    @contextmanager
    def of(self, run_dir: Path) -> Iterator[None]:
        """Copy every now and then while this lasts, and once more at its end, however it ends."""
        if self.target is None or rank_zero_only.rank != 0:
            yield
            return
        self._end.clear()
        thread = threading.Thread(target=self._copy_until_end, args=(run_dir,), name="backup", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._end.set()
            self._wait(thread, run_dir)

    def _wait(self, thread: threading.Thread, run_dir: Path) -> None:
        thread.join(min(self.wait_seconds, 2.0))
        if thread.is_alive() and self.wait_seconds > 2.0:
            logger.info("waiting up to %.0f s for the last copy to %s", self.wait_seconds, self.target)
            thread.join(self.wait_seconds - 2.0)
        if thread.is_alive():
            self._failure = f"not finished within backup.wait_seconds={self.wait_seconds:g}"
        if self._failure is not None:
            logger.warning(
                "the backup is not complete (%s): copy %s to %s yourself", self._failure, run_dir, self.target
            )
        else:
            logger.info("backup in %s", self._place.folder if self._place else self.target)

    def _copy_until_end(self, run_dir: Path) -> None:
        ended = False
        while not ended:
            began = time.monotonic()
            ended = self._end.is_set()
            self._copy(run_dir)
            if not ended:
                self._end.wait(max(0.0, self.every_seconds - (time.monotonic() - began)))

    def _copy(self, run_dir: Path) -> None:
        """One round; never raises, since a backup must not end the run that it is of."""
        try:
            if self._place is None:
                self._place = BackupTarget(self.target, run_dir)
            copied = self._copy_changed(run_dir, self._place)
        except Exception as error:  # file systems behind fsspec raise what their libraries raise
            self._failure = _reason(error)
            kind = f"{type(error).__name__} {getattr(error, 'errno', None)}"
            if kind not in self._warned:
                self._warned.add(kind)
                logger.warning(
                    "backup to %s failed (%s); training goes on, and it is tried again", self.target, self._failure
                )
            return
        if self._failure is not None:
            logger.info("backup to %s works again", self.target)
        self._failure = None
        logger.debug("backup: %d files copied to %s", copied, self._place.folder)

    def _copy_changed(self, run_dir: Path, place: BackupTarget) -> int:
        """Copy the files that are new since the last round; returns how many."""
        count = 0
        with ExitStack() as stack:
            for name, file, state in _snapshot(run_dir, stack):
                if self._copied.get(name) != state:
                    self._copy_one(place, name, file, state)
                    count += 1
        return count

    def _copy_one(self, place: BackupTarget, name: str, file: BinaryIO, state: tuple[int, ...]) -> None:
        same = next((other for other, known in self._copied.items() if known == state), None)
        self._copied.pop(name, None)
        try:
            if same is None:
                raise NotImplementedError
            place.repeat(same, name)  # RUN/last.ckpt is the newest stage's
        except NotImplementedError:
            place.put(file, name)
        self._copied[name] = state


def _snapshot(run_dir: Path, stack: ExitStack) -> list[tuple[str, BinaryIO, tuple[int, ...]]]:
    """Open files of a run in the order in which they are copied: name, file, and what tells a change.

    A file that is replaced while it is copied stays whole as long as it is open, since files here are replaced, not
    rewritten. All are opened at once, so that they fit together: marks of an end before the checkpoints that they speak of,
    the metric history after them (a resumed run drops rows that are too new).
    """

    def opened(paths: list[Path]) -> list[tuple[str, BinaryIO, tuple[int, ...]]]:
        found = []
        for path in paths:
            try:
                file = stack.enter_context(path.open("rb"))
            except FileNotFoundError:
                continue
            stat = os.fstat(file.fileno())
            found.append((path.relative_to(run_dir).as_posix(), file, (stat.st_ino, stat.st_mtime_ns, stat.st_size)))
        return found

    end = opened([run_dir / RUN_END])
    test = opened(sorted(path for path in (run_dir / "test").rglob("*") if path.is_file())) if end else []
    stages = sorted(path for path in (run_dir / "stages").glob("*") if path.is_dir())
    stage_ends = [opened([stage / STAGE_END]) for stage in stages]
    checkpoints = [opened([stage / name for name in STAGE_FILES]) for stage in stages]
    newest = opened([run_dir / name for name in RUN_CHECKPOINTS])
    info = opened([run_dir / RUN_INFO])  # first: it says whose folder it is
    small = opened(sorted(path for path in run_dir.glob("[!.]*") if path.is_file() and _is_small(path)))
    ordered = [file for stage in zip(checkpoints, stage_ends) for files in stage for file in files]
    return [*info, *small, *ordered, *newest, *test, *end]


def _is_small(path: Path) -> bool:
    return path.suffix != ".ckpt" and path.name not in (RUN_INFO, RUN_END)


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
