"""Errors that a user can fix: shown as one clear line, without a traceback, with a non-zero exit status."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps


class UserError(Exception):
    """What was wrong, in which file or setting, and what to do about it, in one line."""


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
