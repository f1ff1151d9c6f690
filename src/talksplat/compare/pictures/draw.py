"""All pictures of a comparison, and its video."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from talksplat.compare.data import ComparisonData
from talksplat.compare.pictures.frames import plot_frames
from talksplat.compare.pictures.history import plot_history
from talksplat.compare.pictures.metrics import plot_metrics
from talksplat.compare.pictures.speed import plot_pareto
from talksplat.compare.pictures.style import PlotStyle

METRICS, PARETO, HISTORY, FRAMES = "metrics.png", "quality_and_speed.png", "training_time.png", "per_frame.png"
WORST, VIDEO = "worst_frames.jpg", "side_by_side.mp4"
Drawing = tuple[
    str, str, str, Callable[[Path], list[str]]
]  # file, title, caption, what writes the file and returns notes


@dataclass(frozen=True)
class Picture:
    """A picture or video in the folder of the comparison, what is said about it, and a JPEG of a frame of the video."""

    path: Path
    title: str
    caption: str
    poster: bytes | None = None

    @property
    def large(self) -> bool:
        """Whether it is as wide as the page."""
        return self.path.name in (METRICS, WORST)


def draw_pictures(
    data: ComparisonData, out: Path, worst_frames: int, video: bool = False
) -> tuple[list[Picture], list[str]]:
    """Draw what the runs have the data for, into `out`. What another comparison has left there under these names is removed.

    Args:
        out: folder of the comparison.
        worst_frames: held-out frames to show of each of a few groups; 0: none.
        video: whether to write the video.

    Returns:
        the pictures, and what was left out and why.
    """
    for name in (METRICS, PARETO, HISTORY, FRAMES, WORST, VIDEO):
        (out / name).unlink(missing_ok=True)
    pictures, notes = [], []
    for name, title, caption, draw in [*_plots(data), *_decoded(data, worst_frames, video)]:
        notes += draw(out / name)
        if (out / name).is_file():
            pictures.append(Picture(out / name, title, caption, _poster(out / name)))
    return pictures, notes


def _plots(data: ComparisonData) -> list[Drawing]:
    style = PlotStyle(data)
    colored = f" In colour: {style.words}." if style.words else ""
    shown = f" Shown: {style.words}." if style.words else ""
    return [
        (
            METRICS,
            "Metrics",
            "A dot for each run, a tick at the mean of a group; the axes show the range of the values, not zero.",
            partial(plot_metrics, data),
        ),
        (
            PARETO,
            "Quality against speed",
            "Means of groups, bars of one standard deviation over seeds. On the dashed steps lies what no other group "
            f"beats in speed and quality at once. Hollow: measured on another machine.{colored}",
            partial(plot_pareto, data, style),
        ),
        (
            HISTORY,
            "Quality over training time",
            f"PSNR of a few held-out frames against the training target. Thick: mean over seeds; thin: runs.{colored}",
            partial(plot_history, data, style),
        ),
        (
            FRAMES,
            "Held-out frames",
            f"Mean over seeds, in a band from the lowest to the highest seed.{shown}",
            partial(plot_frames, data, style),
        ),
    ]


def _decoded(data: ComparisonData, worst_frames: int, video: bool) -> Iterator[Drawing]:
    """What needs the runs' videos: decoders take a while to load."""
    if worst_frames:
        from talksplat.compare.pictures import worst_frames as worst

        yield WORST, "Worst frames", worst.CAPTION, partial(worst.draw_worst_frames, data, worst_frames)
    if video:
        from talksplat.compare.pictures.video import CAPTION, write_side_by_side

        yield VIDEO, "Side by side", CAPTION, partial(write_side_by_side, data)


def _poster(path: Path) -> bytes | None:
    if path.suffix != ".mp4":
        return None
    from talksplat.compare.pictures.video import poster_of

    return poster_of(path)
