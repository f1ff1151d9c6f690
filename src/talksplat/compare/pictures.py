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


@dataclass(frozen=True)
class _Drawing:
    """How a picture comes about: `draw` writes the file where there is something to show, and returns notes."""

    name: str
    title: str
    caption: str
    draw: Callable[[Path], list[str]]


def draw_pictures(groups: Sequence[SeedGroup], out: Path, worst_frames: int) -> tuple[list[Picture], list[str]]:
    """Draw what the runs have the data for, into `out`. What another comparison has left there under these names goes.

    Args:
        groups: runs alike but for the seed.
        out: folder of the comparison.
        worst_frames: held-out frames to show of each of a few groups; 0: none.

    Returns:
        the pictures, and what was left out and why.
    """
    for name in (METRICS, PARETO, HISTORY, FRAMES, WORST):
        (out / name).unlink(missing_ok=True)
    pictures, notes = [], []
    for drawing in [*_plots(groups), *([_worst(groups, worst_frames)] if worst_frames else [])]:
        path = out / drawing.name
        notes += drawing.draw(path)
        if path.is_file():
            pictures.append(Picture(path, drawing.title, drawing.caption, drawing.name in LARGE))
    return pictures, notes


def _plots(groups: Sequence[SeedGroup]) -> list[_Drawing]:
    looks = Looks(groups)
    colored = f" In colour: {looks.words}." if looks.words else ""
    shown = f" Shown: {looks.words}." if looks.words else ""
    return [
        _Drawing(
            METRICS,
            "Metrics",
            "A dot for each run, a tick at the mean of a group; the axes show the range of the values, not zero.",
            partial(plot_metrics, groups),
        ),
        _Drawing(
            PARETO,
            "Quality against speed",
            "Means of groups, bars of one standard deviation over seeds. On the dashed steps lies what no other group "
            f"beats in speed and quality at once. Hollow: measured on another machine.{colored}",
            partial(plot_pareto, groups, looks),
        ),
        _Drawing(
            HISTORY,
            "Quality over training time",
            f"PSNR of a few held-out frames against the training target. Thick: mean over seeds; thin: runs.{colored}",
            partial(plot_history, groups, looks),
        ),
        _Drawing(
            FRAMES,
            "Held-out frames",
            f"Mean over seeds, in a band from the lowest to the highest seed.{shown}",
            partial(plot_frames, groups, looks),
        ),
    ]


def _worst(groups: Sequence[SeedGroup], count: int) -> _Drawing:
    # Decoding of video is loaded by those who ask for it.
    from talksplat.compare.worst_frames import CAPTION, draw_worst_frames

    return _Drawing(WORST, "Worst frames", CAPTION, partial(draw_worst_frames, groups, count))
