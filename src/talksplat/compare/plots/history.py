"""Quality over training time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from talksplat.compare.groups import SeedGroup
from talksplat.compare.history import Curve, NoHistory, mean_curve, read_curve
from talksplat.compare.plots.looks import WIDTH, Looks, plain, save
from talksplat.compare.shown import together


def plot_history(groups: Sequence[SeedGroup], looks: Looks, path: Path) -> list[str]:
    """Held-out composite PSNR over the seconds of training: a line for each group, the mean over its seeds, and thin lines
    for the single runs. Not written where no run has such a history.

    Returns:
        which runs are left out, and why.
    """
    curves, left_out = _read(groups)
    if curves:
        figure = Figure(figsize=(WIDTH, 4.2), layout="constrained")
        axes = figure.subplots()
        for group, found in curves:
            look = looks.of(group)
            if len(found) > 1 and look.colored:
                for curve in found:
                    axes.plot(curve.seconds, curve.values, color=look.color, alpha=0.3, linewidth=0.7, zorder=2)
            mean = mean_curve(found)
            style = {"color": look.color, "zorder": look.order}
            axes.plot(mean.seconds, mean.values, linestyle=look.dash, linewidth=1.8 if look.colored else 0.8, **style)
            if look.colored:
                axes.plot(mean.seconds[-1:], mean.values[-1:], look.marker, markersize=5, **style)
        axes.set_xlabel("training time (s)", fontsize=9)
        axes.set_ylabel("held-out composite PSNR (dB)", fontsize=9)
        axes.set_xlim(left=0)
        plain(axes)
        looks.legend(figure, [group for group, _ in curves])
        save(figure, path)
    return together(left_out, "not in the plot over training time")


def _read(groups: Sequence[SeedGroup]) -> tuple[list[tuple[SeedGroup, list[Curve]]], dict[str, list[str]]]:
    """Curves of groups that have some; {reason: runs without}."""
    curves, left_out = [], {}
    for group in groups:
        found = []
        for run in group.runs:
            try:
                found.append(read_curve(run.path))
            except NoHistory as reason:
                left_out.setdefault(str(reason), []).append(run.name)
        if found:
            curves.append((group, found))
    return curves, left_out
