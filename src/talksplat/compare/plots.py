"""Plots of a comparison, drawn without a display."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from matplotlib.figure import Figure

from talksplat.compare.columns import columns_of
from talksplat.compare.groups import SeedGroup
from talksplat.compare.run_result import RunResult

LINE_INCHES = 0.22
PANELS = 3  # beside each other


def plot_curves(runs: Sequence[RunResult], path: Path) -> None:
    """PSNR of each held-out frame: full frame above, head below; one curve a run."""
    figure = Figure(figsize=(9, 6), layout="constrained")
    for axes, (name, title) in zip(figure.subplots(2, 1, sharex=True), (("psnr", "full frame"), ("psnr_head", "head"))):
        for run in runs:
            frames = [frame for frame in run.metrics["frames"] if frame.get(name) is not None]
            axes.plot([f["frame_id"] for f in frames], [f[name] for f in frames], label=run.name, linewidth=1.2)
        axes.set_ylabel(f"PSNR, {title} (dB)")
        axes.grid(alpha=0.3)
    axes.set_xlabel("frame")
    figure.axes[0].legend(fontsize="small")
    _save(figure, path)


def plot_metrics(groups: Sequence[SeedGroup], path: Path) -> None:
    """Each metric that some run has, a line for each group of runs: a dot for each seed and a tick at their mean. The axes
    show the range of the values, as differences between variants are small beside the values themselves."""
    runs = [run for group in groups for run in group.runs]
    columns = [c for c in columns_of(runs) if c.metric and any(c.value(run) is not None for run in runs)]
    names = [group.name for group in groups]
    height = 1.0 + LINE_INCHES * len(groups)
    rows = -(-len(columns) // PANELS)
    figure = Figure(figsize=(4 * PANELS, height * rows), layout="constrained")
    grid = figure.subplots(rows, PANELS, squeeze=False, sharey=True)
    for axes, column in zip(grid.flat, columns):
        for line, group in enumerate(groups):
            values = [value for run in group.runs if (value := column.value(run)) is not None]
            axes.plot(values, [line] * len(values), "o", color=f"C{line % 10}", alpha=0.6, markeredgewidth=0)
            if values:
                axes.plot(fmean(values), line, "|", color="black", markersize=14)
            else:
                axes.text(0.5, line, "n/a", va="center", ha="center", transform=axes.get_yaxis_transform())
        axes.set_title(f"{column.title} ({'higher' if column.better > 0 else 'lower'} is better)", fontsize="medium")
        axes.grid(alpha=0.3)
    for first in grid[:, 0]:
        first.set_yticks(range(len(groups)), names, fontsize="small")
    grid[0, 0].set_ylim(len(groups) - 0.5, -0.5)
    for axes in list(grid.flat)[len(columns) :]:
        axes.set_axis_off()
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    figure.savefig(temporary, dpi=120, format="png")
    os.replace(temporary, path)
