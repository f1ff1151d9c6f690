"""Quality over training time."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from talksplat.compare.data import ComparisonData
from talksplat.compare.load.groups import SeedGroup
from talksplat.compare.pictures.curves import Curve, NoHistory, mean_curve, read_curve
from talksplat.compare.pictures.selection import together
from talksplat.compare.pictures.style import WIDTH, PlotStyle, plain, save


def plot_history(data: ComparisonData, style: PlotStyle, path: Path) -> list[str]:
    """Held-out composite PSNR over the seconds of training: a line for each group, the mean over its seeds, and thin lines
    for the single runs. Not written where no run has such a history.

    Returns:
        which runs are left out, and why.
    """
    curves: list[tuple[SeedGroup, list[Curve]]] = []
    left_out: dict[str, list[str]] = {}
    for group in data.groups:
        found = []
        for run in group.runs:
            try:
                found.append(read_curve(run.path))
            except NoHistory as reason:
                left_out.setdefault(str(reason), []).append(run.name)
        curves += [(group, found)] if found else []
    if curves:
        _draw(curves, style, path)
    return together(left_out, "not in the plot over training time")


def _draw(curves: list[tuple[SeedGroup, list[Curve]]], style: PlotStyle, path: Path) -> None:
    figure = Figure(figsize=(WIDTH, 4.2), layout="constrained")
    axes = figure.subplots()
    for group, found in curves:
        look, mean = style.of(group), mean_curve(found)
        line = {"color": look.color, "zorder": look.order}
        if len(found) > 1 and look.colored:
            for curve in found:
                axes.plot(curve.seconds, curve.values, color=look.color, alpha=0.3, linewidth=0.7, zorder=2)
        axes.plot(mean.seconds, mean.values, linestyle=look.dash, linewidth=1.8 if look.colored else 0.8, **line)
        if look.colored:
            axes.plot(mean.seconds[-1:], mean.values[-1:], look.marker, markersize=5, **line)
    axes.set_xlabel("training time (s)", fontsize=9)
    axes.set_ylabel("held-out composite PSNR (dB)", fontsize=9)
    axes.set_xlim(left=0)
    plain(axes)
    style.legend(figure, [group for group, _ in curves])
    save(figure, path)
