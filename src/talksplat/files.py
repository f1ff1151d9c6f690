"""Atomic file replacement, so that a killed process leaves no partial file."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from hashlib import sha256
from pathlib import Path
from typing import Any

from filelock import AcquireReturnProxy, FileLock, SoftFileLock, Timeout

from talksplat.errors import UserError, write_error


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """While this lasts, what the system refuses becomes a `UserError` about `path`."""
    try:
        yield
    except OSError as error:
        raise write_error(error, path) from error


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
    except (
        OSError
    ) as error:  # filelock takes process ids where locks are not implemented, but not where they do not work
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP):
            raise
        return SoftFileLock(file.with_name(f"{file.name}.pid")).acquire(timeout=timeout)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Temporary path next to `path` to write to, which replaces `path` atomically at the end of the block. If the block fails,
    it is removed and the old file stays.

    Raises:
        UserError: the disk is full, the folder is missing or cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with writing(path):
            yield temporary
            os.replace(temporary, path)
    finally:
        with suppress(OSError):  # already moved, or its folder does not exist
            temporary.unlink()


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically. Raises UserError."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically. Raises UserError."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically; NaN is refused, since JSON has none. Raises UserError."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def write_archive(save: Callable[[Path], None], path: Path) -> None:
    """Call `save(temporary path)`, which writes with torch, and move the file into place. Raises UserError."""
    with replacing(path) as temporary:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()  # says why no file can be made here, which Lightning would keep to itself
        temporary.unlink()
        try:
            save(temporary)
        except RuntimeError as error:
            # torch reports a full disk as a RuntimeError of its archive writer.
            if not re.search("Writer|inline_container|iostream", str(error)):
                raise
            raise OSError(errno.ENOSPC, (str(error).strip().splitlines() or [type(error).__name__])[0][:160]) from error


def link(source: Path, target: Path) -> None:
    """Make `target` the same file as `source` (a hard link where the file system can, otherwise a copy). Raises UserError."""
    with replacing(target) as temporary:
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)


def content_hash(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    digest = sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def now() -> str:
    """Time in UTC, to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
