"""Locks against two processes that write one file or folder."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import AcquireReturnProxy, FileLock, SoftFileLock, Timeout

from talksplat.errors import UserError


@contextmanager
def locked(path: Path, remedy: str, inside: bool = False, wait: bool = False) -> Iterator[None]:
    """Keep other processes from writing `path` (a file or a folder, there or not) while the block lasts.

    The lock is a file next to it, whatever links lead there, and is removed at the end. The system frees the lock of a
    killed process; on file systems without locks the file holds the process id, and counts as long as that process runs.

    Args:
        path: what is about to be written.
        remedy: what else the user may do.
        inside: the lock lies in the folder `path`, which other machines may know by another name.
        wait: for the other process to end.

    Raises:
        UserError: another process holds the lock, or it cannot be made.
    """
    path = path.expanduser().resolve()
    file = path / ".lock" if inside else path.with_name(f".{path.name}.lock")
    new = [folder for folder in file.parents if not folder.exists()]
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = _acquire(file, -1 if wait else 0)
    except Timeout as error:
        raise UserError(
            f"another process is working on {path} (it holds {file}): wait until it ends, or {remedy}"
        ) from error
    except OSError as error:
        raise UserError(f"cannot make {path} ({error.strerror or error}): {remedy}") from error
    with lock:
        try:
            yield
        finally:
            with suppress(OSError):
                file.unlink()  # while it is held: whoever opened it before notices, and tries again
                for folder in new:  # of work that was refused
                    folder.rmdir()


def _acquire(file: Path, timeout: float) -> AcquireReturnProxy:
    try:
        return FileLock(file).acquire(timeout=timeout)
    except OSError as error:
        # filelock takes process ids where locks are not implemented, but not where they do not work.
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP):
            raise
        return SoftFileLock(file.with_name(f"{file.name}.pid")).acquire(timeout=timeout)
