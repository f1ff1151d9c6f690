"""Metrics of each held-out frame."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from talksplat.compare.columns import columns_of
from talksplat.compare.groups import SeedGroup
from talksplat.compare.plots.looks import WIDTH, Looks, plain, save
from talksplat.compare.run_result import RunResult

METRICS = ("psnr", "psnr_head", "psnr_mouth", "lpips", "lmd")
PANEL_INCHES = 1.4


def plot_frames(groups: Sequence[SeedGroup], looks: Looks, path: Path) -> list[str]:
    """A panel for each metric that is measured frame by frame: a line for each coloured group, the mean over its seeds,
    in a band from the worst to the best seed. Grey groups are not drawn: lines this jagged hide each other.

    Returns:
        what is left out, and why.
    """
    runs = [run for group in looks.shown for run in group.runs]
    names = [name for name in METRICS if any(frame.get(name) is not None for run in runs for frame in _frames(run))]
    if not names:
        return ["no plot over frames: no run has metrics of single frames"]
    titles = {column.metric: column.title for column in columns_of(runs) if column.metric}
    figure = Figure(figsize=(WIDTH, 0.9 + PANEL_INCHES * len(names)), layout="constrained")
    drawn = set()
    for axes, name in zip(figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0], names):
        for group in looks.shown:
            values = np.ma.masked_invalid(np.array([_values(run, name) for run in group.runs], float))
            if values.count():
                _draw(axes, group, looks, values)
                drawn.add(group.name)
        axes.set_ylabel(titles[name], fontsize=8)
        plain(axes)
    figure.axes[-1].set_xlabel("frame", fontsize=9)
    looks.legend(figure, [group for group in looks.shown if group.name in drawn])
    save(figure, path)
    return []


def _draw(axes, group: SeedGroup, looks: Looks, values: Float[np.ndarray, "run frame"]) -> None:
    look, frame_ids = looks.of(group), group.runs[0].frame_ids
    mean = values.mean(0).filled(np.nan)
    axes.plot(frame_ids, mean, linestyle=look.dash, color=look.color, linewidth=1.1)
    if len(values) > 1:
        low, high = values.min(0).filled(np.nan), values.max(0).filled(np.nan)
        axes.fill_between(frame_ids, low, high, color=look.color, alpha=0.18, linewidth=0)


def _frames(run: RunResult) -> list[dict]:
    return run.metrics["frames"]


def _values(run: RunResult, name: str) -> list[float]:
    return [np.nan if frame.get(name) is None else frame[name] for frame in _frames(run)]
