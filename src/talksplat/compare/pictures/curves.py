"""A metric over training time, from a run's `metrics.csv`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

HELD_OUT = "val_psnr_composite"
SECONDS = "seconds"  # of training since the run began, over all stages


class NoHistory(Exception):
    """Why there is no curve."""


@dataclass(frozen=True)
class Curve:
    """Values of a metric at steps of the whole run, and the training time at which they were reached."""

    steps: Int[np.ndarray, " point"]
    seconds: Float[np.ndarray, " point"]
    values: Float[np.ndarray, " point"]


def read_curve(run: Path, name: str = HELD_OUT) -> Curve:
    """Rows named `STAGE/name` of a run folder's `metrics.csv`. Times of steps between two rows that have one are
    interpolated; points after the last known time are dropped.

    Raises:
        NoHistory: no file, no such rows, or no times.
    """
    try:
        text = (run / "metrics.csv").read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise NoHistory("no readable metrics.csv in the run folder") from error
    values, times = _rows(text, name), _rows(text, SECONDS)
    if not values:
        raise NoHistory(f"no rows {name} in metrics.csv")
    if not times:
        raise NoHistory(f"no rows {SECONDS} in metrics.csv (an older version trained it)")
    known = {0: 0.0} | times
    steps = sorted(step for step in values if step <= max(known))
    if not steps:
        raise NoHistory(f"no rows {SECONDS} as late as those of {name} in metrics.csv")
    seconds = np.interp(steps, sorted(known), [known[step] for step in sorted(known)])
    return Curve(np.array(steps, int), seconds, np.array([values[step] for step in steps]))


def mean_curve(curves: list[Curve]) -> Curve:
    """Mean time and mean value at the steps that all curves have."""
    steps = sorted(set.intersection(*(set(curve.steps.tolist()) for curve in curves)))
    parts = [(curve, np.isin(curve.steps, steps)) for curve in curves]
    seconds = np.mean([curve.seconds[part] for curve, part in parts], axis=0)
    values = np.mean([curve.values[part] for curve, part in parts], axis=0)
    return Curve(np.array(steps, int), seconds, values)


def _rows(text: str, name: str) -> dict[int, float]:
    """{step: value} of a name in any stage. A long history has hundreds of other rows for each of these, so the name is
    looked for rather than every row read. A last row without its line end is torn: its number may lack digits."""
    found = {}
    for match in re.finditer(rf"{name},(-?\d+(?:\.\d+)?(?:e[-+]?\d+)?)\r?\n", text):
        step, _, stage = text[text.rfind("\n", 0, match.start()) + 1 : match.start()].partition(",")
        if step.isdigit() and (not stage or stage.endswith("/")):
            found[int(step)] = float(match[1])
    return found
