"""Metrics of each held-out frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from talksplat.compare.data import ComparisonData
from talksplat.compare.pictures.style import WIDTH, PlotStyle, plain, save

METRICS = ("psnr", "psnr_head", "psnr_mouth", "lpips", "lmd")
PANEL_INCHES = 1.4


def plot_frames(data: ComparisonData, style: PlotStyle, path: Path) -> None:
    """A panel for each metric that is measured frame by frame: a line for each coloured group, the mean over its seeds,
    in a band from the worst to the best seed. Grey groups are not drawn: lines this jagged hide each other."""
    runs = [run for group in style.shown for run in group.runs]
    names = [name for name in METRICS if any(np.isfinite(run.per_frame.get(name, np.nan)).any() for run in runs)]
    if not names:
        return data.notes.add("no plot over frames: no run has metrics of single frames")
    figure = Figure(figsize=(WIDTH, 0.9 + PANEL_INCHES * len(names)), layout="constrained")
    frame_ids, drawn = runs[0].frame_ids, []
    for axes, name in zip(figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0], names):
        for group in style.shown:
            values = np.ma.masked_invalid([run.per_frame[name] for run in group.runs if name in run.per_frame])
            if not values.count():
                continue
            drawn.append(group)
            look = style.of(group)
            axes.plot(frame_ids, values.mean(0).filled(np.nan), linestyle=look.dash, color=look.color, linewidth=1.1)
            if len(values) > 1:
                low, high = values.min(0).filled(np.nan), values.max(0).filled(np.nan)
                axes.fill_between(frame_ids, low, high, color=look.color, alpha=0.18, linewidth=0)
        axes.set_ylabel(data.columns[name].title, fontsize=8)
        plain(axes)
    figure.axes[-1].set_xlabel("frame", fontsize=9)
    style.legend(figure, drawn)
    save(figure, path)
