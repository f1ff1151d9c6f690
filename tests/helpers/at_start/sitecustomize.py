"""Python imports this at its start in the processes that `waiting.halted_at` asks for: they stop where a file is written."""

import os
import time

PLACE, replace = os.environ.get("HALT_AT"), os.replace


def replace_and_halt(source, target, **settings):
    """`os.replace`, which does not return from the named file until the test lets it (FILE.go)."""
    replace(source, target, **settings)
    if os.path.realpath(target) == PLACE:
        while not os.path.exists(f"{PLACE}.go"):
            time.sleep(0.01)


if PLACE:
    os.replace = replace_and_halt
