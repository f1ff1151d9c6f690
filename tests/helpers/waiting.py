"""Waiting for events: no test may depend on how fast the machine is."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

HANG = 600.0  # seconds after which nothing is slow any more, but hangs


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Wait until a condition holds; the test fails where it never does."""
    deadline = time.monotonic() + HANG
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"{what} did not happen within {HANG:.0f} s")
        time.sleep(0.01)


def halted_at(path: Path) -> dict[str, str]:
    """Environment of a process that halts, with all that it starts, as soon as it has written a file atomically: until it is
    killed, or `let_go` is called."""
    places = [str(Path(__file__).with_name("at_start")), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"HALT_AT": os.path.realpath(path), "PYTHONPATH": os.pathsep.join(places)}


def let_go(path: Path) -> None:
    """Let a halted process continue."""
    Path(f"{os.path.realpath(path)}.go").touch()
