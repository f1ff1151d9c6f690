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

from talksplat.system_errors import write_error


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """While this lasts, what the system refuses becomes a `UserError` about `path`."""
    try:
        yield
    except OSError as error:
        raise write_error(error, path) from error


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
