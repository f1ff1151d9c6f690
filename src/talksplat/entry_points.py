"""Ends of commands: errors are one line on stderr with a non-zero exit status, without a traceback."""

from __future__ import annotations

import logging
import os
import select
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from io import TextIOWrapper

from talksplat.errors import UserError
from talksplat.system_errors import missing_library, write_error


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
