"""Errors that a user can fix: shown as one clear line, without a traceback, with a non-zero exit status."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import wraps

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


def exits_cleanly(main: Callable) -> Callable:
    """Decorate a command's entry point: a `UserError` becomes one line on stderr and exit status 2."""

    @wraps(main)
    def wrapped(*args, **kwargs):
        try:
            return main(*args, **kwargs)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)

    return wrapped
