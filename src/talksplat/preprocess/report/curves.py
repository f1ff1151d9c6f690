"""Curves of the report, each drawn into one set of axes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes

from talksplat.preprocess.report.facts import Facts, stretches, with_gaps

COLORS = ("#c0392b", "#2471a3", "#1e8449")
OUT_COLORS = {"no face": "#7f8c8d", "covered": "#e67e22"}
LINE = 1.0


def angles(axes: Axes, facts: Facts) -> None:
    """Pitch, yaw and roll."""
    _curves(axes, facts, facts.angles, ("pitch", "yaw", "roll"))
    axes.axhspan(-15, 15, color="#1e8449", alpha=0.07, linewidth=0)
    axes.set_ylabel("degrees")


def position(axes: Axes, facts: Facts) -> None:
    """Place of the head before the camera, without its mean."""
    _curves(axes, facts, 10 * (facts.position - facts.position.mean(0)), ("x right", "y down", "z away"))
    axes.set_ylabel("cm")


def blink(axes: Axes, facts: Facts) -> None:
    """Eyes shut, from 0 to 1."""
    _curves(axes, facts, facts.blink[:, None], ("eyes shut",))
    axes.set_ylim(-0.05, 1.35)


def error(axes: Axes, facts: Facts) -> None:
    """Reprojection error of each frame."""
    _curves(axes, facts, np.stack([facts.rigid_error, facts.full_error], axis=1), ("rigid landmarks", "all landmarks"))
    axes.set_ylim(bottom=0)
    axes.set_ylabel("pixels")


def confidence(axes: Axes, facts: Facts) -> None:
    """Whether the landmarks lie on a bare face, from 0 to 1."""
    _curves(axes, facts, facts.confidence[:, None], ("confidence",))
    axes.set_ylim(-0.05, 1.35)


def mouth(axes: Axes, facts: Facts) -> None:
    """Lip gap over loudness."""
    times = np.arange(len(facts.loudness)) / 25
    axes.fill_between(times, 0, _scaled(facts.loudness), color="#aab7b8", linewidth=0, label="loudness")
    times = np.arange(len(facts.opening)) / 25
    axes.plot(times, _scaled(facts.opening), color=COLORS[0], linewidth=LINE, label="mouth opening")
    _left_out(axes, facts)
    axes.set_yticks([])
    _finish(axes)


def sync(axes: Axes, facts: Facts) -> None:
    """How well the sound explains the lips if it is moved."""
    found = facts.sync
    axes.plot(1000 * found.lags, found.scores, color=COLORS[1], linewidth=1.4)
    if found.offset is not None:
        style = "-" if found.confident else ":"
        words = f"{1000 * found.offset:+.0f} ms" + ("" if found.confident else " (not sure)")
        axes.axvline(1000 * found.offset, color=COLORS[0], linestyle=style, linewidth=1.2, label=words)
        axes.legend(fontsize=7, loc="upper right", frameon=False)
    axes.axvspan(-45, 125, color="#1e8449", alpha=0.07, linewidth=0)
    axes.set_xlabel("sound late by (ms)", fontsize=8)
    axes.set_ylabel("correlation", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.25)


def durations(axes: Axes, facts: Facts) -> None:
    """Seconds of each step."""
    names, seconds = list(facts.durations), list(facts.durations.values())
    axes.barh(names, seconds, color=COLORS[1])
    for row, value in enumerate(seconds):
        axes.text(value, row, f" {value:.1f} s", va="center", fontsize=7)
    axes.invert_yaxis()
    axes.margins(x=0.18)
    axes.set_xlabel("s", fontsize=8)
    axes.tick_params(labelsize=8)


def _curves(axes: Axes, facts: Facts, values: np.ndarray, names: tuple[str, ...]) -> None:
    times, filled = with_gaps(facts.frame_ids, values)
    for column, name, color in zip(filled.T, names, COLORS):
        axes.plot(times, column, color=color, linewidth=LINE, label=name)
    _left_out(axes, facts)
    _finish(axes)


def _left_out(axes: Axes, facts: Facts) -> None:
    for reason, frames in facts.left_out.items():
        for index, (first, last) in enumerate(stretches(frames)):
            label = f"left out: {reason}" if index == 0 else None
            color = OUT_COLORS.get(reason, "#8e44ad")
            axes.axvspan(first / 25, (last + 1) / 25, color=color, alpha=0.35, linewidth=0, label=label)


def _finish(axes: Axes) -> None:
    axes.set_xlabel("s", fontsize=8)
    axes.yaxis.label.set_size(8)
    axes.tick_params(labelsize=7)
    axes.margins(x=0)
    axes.grid(alpha=0.25)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.3 * (high - low))  # room for the legend
    axes.legend(fontsize=6, loc="upper right", ncols=5, frameon=False, handlelength=1.0, columnspacing=1.2)


def _scaled(values: np.ndarray) -> np.ndarray:
    top = np.nanpercentile(values, 99.5) if np.isfinite(values).any() else 1.0
    return values / max(float(top), 1e-9)


CURVES: dict[str, Callable[[Axes, Facts], None]] = {
    "Head turned: pitch, yaw, roll (green: within 15 degrees)": angles,
    "Head moved, from its mean place": position,
    "Reprojection error per frame": error,
    "Confidence per frame (1: a bare face under the landmarks)": confidence,
    "Blinks": blink,
    "Mouth opening against loudness": mouth,
    "Sound against picture (green: not noticed)": sync,
    "Time of the steps": durations,
}
