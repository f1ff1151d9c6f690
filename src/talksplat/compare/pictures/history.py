"""Quality over training time, from the runs' `metrics.csv`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure

from talksplat.compare.data import ComparisonData
from talksplat.compare.pictures.style import WIDTH, PlotStyle, plain, save

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


def plot_history(data: ComparisonData, style: PlotStyle, path: Path) -> None:
    """Held-out composite PSNR over the seconds of training: a line for each group, the mean over its seeds, and thin lines
    for the single runs. Not written where no run has such a history."""
    figure = Figure(figsize=(WIDTH, 4.2), layout="constrained")
    axes, drawn = figure.subplots(), []
    for group in data.groups:
        curves = []
        for run in group.runs:
            try:
                curves.append(read_curve(run.path))
            except NoHistory as reason:
                data.notes.leave_out(run.name, "not in the plot over training time", str(reason))
        if not curves:
            continue
        drawn.append(group)
        look, mean = style.of(group), mean_curve(curves)
        line = {"color": look.color, "zorder": look.order}
        axes.plot(mean.seconds, mean.values, linestyle=look.dash, linewidth=1.8 if look.colored else 0.8, **line)
        if look.colored:
            axes.plot(mean.seconds[-1:], mean.values[-1:], look.marker, markersize=5, **line)
            for curve in curves if len(curves) > 1 else ():
                axes.plot(curve.seconds, curve.values, color=look.color, alpha=0.3, linewidth=0.7, zorder=2)
    if drawn:
        axes.set_xlabel("training time (s)", fontsize=9)
        axes.set_ylabel("held-out composite PSNR (dB)", fontsize=9)
        axes.set_xlim(left=0)
        plain(axes)
        style.legend(figure, drawn)
        save(figure, path)


def read_curve(run: Path, name: str = HELD_OUT) -> Curve:
    """Rows named `STAGE/name` of a run folder's `metrics.csv`. Times of steps between two rows that have one are interpolated;
    points after the last known time are dropped. Raises NoHistory where there is no file, no such row, or no time."""
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


def mean_curve(curves: Sequence[Curve]) -> Curve:
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
