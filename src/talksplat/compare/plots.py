"""Plots of a comparison, drawn without a display."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from talksplat.compare.columns import columns_of
from talksplat.compare.run_result import RunResult

BAR_INCHES = 0.35


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


def plot_bars(runs: Sequence[RunResult], path: Path) -> None:
    """Mean of each metric that some run has; a run without it has no bar but says so."""
    columns = [c for c in columns_of(runs) if c.metric and any(c.value(run) is not None for run in runs)]
    height = 0.8 + BAR_INCHES * len(runs)
    figure = Figure(figsize=(9, max(height, 1.6) * ((len(columns) + 1) // 2)), layout="constrained")
    grid = figure.subplots((len(columns) + 1) // 2, 2, squeeze=False)
    for axes, column in zip(grid.flat, columns):
        values = [column.value(run) for run in runs]
        axes.barh(range(len(runs)), [value or 0 for value in values], color=[f"C{i % 10}" for i in range(len(runs))])
        for index, value in enumerate(values):
            text = " n/a" if value is None else f" {value:.{column.digits}f}"
            axes.text(max(value or 0, 0), index, text, va="center", fontsize="small")
        axes.set_yticks(range(len(runs)), [run.name for run in runs], fontsize="small")
        axes.invert_yaxis()
        axes.margins(x=0.2)
        axes.set_title(f"{column.title} ({'higher' if column.better > 0 else 'lower'} is better)", fontsize="medium")
    for axes in list(grid.flat)[len(columns) :]:
        axes.set_axis_off()
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    figure.savefig(temporary, dpi=120, format="png")
    os.replace(temporary, path)
