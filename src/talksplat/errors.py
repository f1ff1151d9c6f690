"""Errors that a user can fix: one clear line each."""

from __future__ import annotations

import re

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
