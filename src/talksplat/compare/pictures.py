"""All pictures of a comparison."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from talksplat.compare.groups import SeedGroup
from talksplat.compare.plots.frames import plot_frames
from talksplat.compare.plots.history import plot_history
from talksplat.compare.plots.looks import Looks
from talksplat.compare.plots.metrics import plot_metrics
from talksplat.compare.plots.pareto import plot_pareto

METRICS, PARETO, HISTORY = "metrics.png", "quality_and_speed.png", "training_time.png"
FRAMES, WORST = "per_frame.png", "worst_frames.jpg"
LARGE = (METRICS, WORST)


@dataclass(frozen=True)
class Picture:
    """A picture in the folder of the comparison, and what is said about it."""

    path: Path
    title: str
    caption: str
    large: bool = False  # as wide as the page


@dataclass(frozen=True)
class Film:
    """A video in the folder of the comparison, what is said about it, and a JPEG of one of its frames."""

    path: Path
    title: str
    caption: str
    poster: bytes


def draw_pictures(groups: Sequence[SeedGroup], out: Path, worst_frames: int) -> tuple[list[Picture], list[str]]:
    """Draw what the runs have the data for, into `out`. What another comparison has left there under these names goes.

    Args:
        groups: runs alike but for the seed.
        out: folder of the comparison.
        worst_frames: held-out frames to show of each of a few groups; 0: none.

    Returns:
        the pictures, and what was left out and why.
    """
    looks = Looks(groups)
    colored = f" In colour: {looks.words}." if looks.words else ""
    drawers: list[tuple[str, Callable[[Path], list[str]], str, str]] = [
        (
            METRICS,
            partial(plot_metrics, groups),
            "Metrics",
            "A dot for each run, a tick at the mean of a group; the axes show the range of the values, not zero.",
        ),
        (
            PARETO,
            partial(plot_pareto, groups, looks),
            "Quality against speed",
            "Means of groups, bars of one standard deviation over seeds. On the dashed steps lies what no other group "
            f"beats in speed and quality at once. Hollow: measured on another machine.{colored}",
        ),
        (
            HISTORY,
            partial(plot_history, groups, looks),
            "Quality over training time",
            f"PSNR of a few held-out frames against the training target. Thick: mean over seeds; thin: runs.{colored}",
        ),
        (
            FRAMES,
            partial(plot_frames, groups, looks),
            "Held-out frames",
            "Mean over seeds, in a band from the lowest to the highest seed."
            + (f" Shown: {looks.words}." if looks.words else ""),
        ),
    ]
    if worst_frames:
        # Decoding of video is loaded by those who ask for it.
        from talksplat.compare.worst_frames import CAPTION, draw_worst_frames

        drawers.append((WORST, partial(draw_worst_frames, groups, worst_frames), "Worst frames", CAPTION))
    for name in (METRICS, PARETO, HISTORY, FRAMES, WORST):
        (out / name).unlink(missing_ok=True)
    pictures, notes = [], []
    for name, draw, title, caption in drawers:
        notes += draw(out / name)
        if (out / name).is_file():
            pictures.append(Picture(out / name, title, caption, name in LARGE))
    return pictures, notes
