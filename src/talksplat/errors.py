"""Errors that a user can fix: shown as one clear line, without a traceback, with a non-zero exit status."""

from __future__ import annotations

import errno
import logging
import os
import re
import select
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from io import TextIOWrapper
from pathlib import Path

# Of terminals (colours, titles, the clipboard) and of the direction of writing; names in files may hold them.
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """Text without control characters but for tabs and line ends."""
    return CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


class UserError(Exception):
    """What was wrong, in which file or setting, and what to do about it, in one line."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*(printable(str(one)) for one in arguments))


class Interrupted(UserError):
    """Work was interrupted and can be resumed."""


class Pruned(UserError):
    """A search stopped a run early, since others were better at that step."""


def write_error(error: OSError, path: Path | None = None) -> UserError:
    """What the system refused, with what helps; of a full disk, the one that is full, and what is free there.

    Args:
        path: what was being written; None: what the error names.
    """
    full_disk = error.errno in (errno.ENOSPC, errno.EDQUOT)
    named = [Path(os.fsdecode(name)) for name in (error.filename2, error.filename) if isinstance(name, (str, bytes))]
    place = named[0] if named else None
    if path is not None and (full_disk or place is None or place.parent == path.parent):
        place = path  # rather than a temporary file
    remedy = "choose another place, or mend its permissions"
    if full_disk:
        others = [Path.cwd(), Path(tempfile.gettempdir()), Path(os.path.expanduser("~"))]
        full = _full_place([*([path] if path else []), *named, *others])
        quota = "your quota there is used up: " if error.errno == errno.EDQUOT else ""
        free = f"{_mount_of(full)} has {shutil.disk_usage(full).free / 2**20:.0f} MiB free"
        remedy = f"{quota}{free}: free some space there, or choose another place"
    elif error.errno in (errno.EMFILE, errno.ENFILE):
        remedy = "allow more open files (ulimit -n 4096)"
    elif error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR):
        remedy = "give another path"
    reason = (error.strerror or str(error)).strip()
    verb = "cannot write" if full_disk or path is not None else "cannot use"
    return UserError(f"{verb} {place} ({reason}): {remedy}" if place else f"{reason}: {remedy}")


def _full_place(places: list[Path]) -> Path:
    """The first of some places on a full disk; the first of all, if none is."""
    there = [next(folder for folder in (place, *place.absolute().parents) if folder.is_dir()) for place in places]
    return next((folder for folder in there if shutil.disk_usage(folder).free < 2**20), there[0])


def _mount_of(folder: Path) -> Path:
    return next(place for place in (folder.resolve(), *folder.resolve().parents) if place.is_mount())


def missing_library(error: Exception) -> UserError | None:
    """What to install where a library of the system is missing that a package needs; None for other errors."""
    if "cannot open shared object file" not in str(error):
        return None
    opencv = "libgl1 libxcb1 libglib2.0-0, or pip install --force-reinstall --no-deps opencv-contrib-python-headless"
    packages = "libegl1 libgles2" if "EGL" in str(error) or "GLES" in str(error) else opencv
    return UserError(f"a library of the system is missing ({error}): apt-get install {packages}")


@contextmanager
def one_line_errors() -> Iterator[None]:
    """While this lasts, errors of the system become a `UserError`; one who reads our output and left ends the process."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError as error:
        if not _is_unread():
            raise write_error(error) from error
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at its end
        sys.exit(128 + signal.SIGPIPE)
    except (OSError, ImportError) as error:
        missing = missing_library(error)
        if missing is None and getattr(error, "errno", None) is None:
            raise
        raise missing or write_error(error) from error


def _is_unread() -> bool:
    """Whether standard output is a pipe whose reader has left."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def exits_cleanly(main: Callable) -> Callable:
    """Decorate a command's entry point: a `UserError` or an error of the system becomes one line on stderr and exit status
    2, Ctrl-C one line and 130. Names that are no text in this locale are printed as bytes or escapes."""

    @wraps(main)
    def wrapped(*args, **kwargs):
        logging.raiseExceptions = False  # a full disk is said once, by what writes there, and not by its log
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="surrogateescape" if stream.encoding == "utf-8" else "backslashreplace")
        try:
            with one_line_errors():
                return main(*args, **kwargs)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            sys.exit(128 + signal.SIGINT)

    return wrapped
