"""Backup of a run's essential files while it trains."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from pytorch_lightning.utilities import rank_zero_only

from talksplat.callbacks.backup_target import BackupTarget, check_target
from talksplat.errors import UserError

logger = logging.getLogger(__name__)
# In order of copying. The mark of a stage's end is opened first and copied last: it never comes with an older checkpoint.
STAGE_FILES = ("best.json", "best.ckpt", "last.ckpt", "finished.json")


class Backup:
    """Best and newest checkpoints, metric history, configuration and, at the end, `metrics.json` and `test/`: enough to
    resume with `resume=true` in a folder that is copied back.

    A thread of its own copies, so training never waits; only the end of a run does, for a limited time. A target that fails
    is warned about, once per kind of failure, and tried again. Settings: `conf/backup/default.yaml`.
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
        self._folder: BackupTarget | None = None
        self._copied: dict[str, tuple[int, ...]] = {}

    def check_available(self, run_dir: Path) -> None:
        """Check the target without a connection. Raises UserError: it can never work."""
        if self.target is not None:
            check_target(self.target, run_dir)

    @contextmanager
    def of(self, run_dir: Path) -> Iterator[None]:
        """Copy at intervals while this lasts, and once more at its end, however it ends."""
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
            logger.info("backup in %s", self._folder.path if self._folder else self.target)

    def _copy_until_end(self, run_dir: Path) -> None:
        ended = False
        while not ended:
            began = time.monotonic()
            ended = self._end.is_set()
            self._copy(run_dir)
            if not ended:
                self._end.wait(max(0.0, self.every_seconds - (time.monotonic() - began)))

    def _copy(self, run_dir: Path) -> None:
        """One round; never raises, since a backup must not end its run."""
        try:
            if self._folder is None:
                self._folder = BackupTarget(self.target, run_dir)
            with ExitStack() as stack:
                for name, file, state in _snapshot(run_dir, stack):
                    if self._copied.get(name) != state:
                        self._copy_one(self._folder, name, file, state)
        except Exception as error:  # file systems behind fsspec raise what their libraries raise
            self._failure = _reason(error)
            kind = f"{type(error).__name__} {getattr(error, 'errno', None)}"
            if kind not in self._warned:
                self._warned.add(kind)
                logger.warning(
                    "backup to %s failed (%s); training continues, and it is tried again", self.target, self._failure
                )
            return
        if self._failure is not None:
            logger.info("backup to %s works again", self.target)
        self._failure = None

    def _copy_one(self, folder: BackupTarget, name: str, file: BinaryIO, state: tuple[int, ...]) -> None:
        same = next((other for other, known in self._copied.items() if known == state), None)
        self._copied.pop(name, None)
        try:
            if same is None:
                raise NotImplementedError
            folder.repeat(same, name)  # RUN/last.ckpt is the newest stage's
        except NotImplementedError:
            folder.put(file, name)
        self._copied[name] = state


def _snapshot(run_dir: Path, stack: ExitStack) -> list[tuple[str, BinaryIO, tuple[int, ...]]]:
    """Open files of a run in the order in which they are copied: name, file, and what tells a change.

    A file that is replaced while it is copied stays whole as long as it is open, since files here are replaced, not
    rewritten. All are opened first, in reverse order, so that they fit together: marks of an end before the checkpoints that
    they are about, the metric history after them (a resumed run drops rows that are too new).
    """
    found = []
    for path in reversed(_files(run_dir)):
        with suppress(FileNotFoundError):
            file = stack.enter_context(path.open("rb"))
            stat = os.fstat(file.fileno())
            found.append((path.relative_to(run_dir).as_posix(), file, (stat.st_ino, stat.st_mtime_ns, stat.st_size)))
    return found[::-1]


def _files(run_dir: Path) -> list[Path]:
    """Files to copy, where they are there; first the one that says whose folder it is."""
    info, end = run_dir / "run_info.json", run_dir / "metrics.json"
    top = sorted(path for path in run_dir.glob("[!.]*") if path.is_file() and path.suffix != ".ckpt")
    stages = sorted(path for path in (run_dir / "stages").glob("*") if path.is_dir())
    test = sorted(path for path in (run_dir / "test").rglob("*") if path.is_file())
    return [
        info,
        *(path for path in top if path not in (info, end)),
        *(stage / name for stage in stages for name in STAGE_FILES),
        *(run_dir / name for name in ("best.ckpt", "last.ckpt")),
        *([*test, end] if end.is_file() else []),
    ]


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
