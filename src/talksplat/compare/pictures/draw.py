"""All pictures of a comparison, and its video."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from talksplat.compare.data import ComparisonData
from talksplat.compare.pictures.frames import plot_frames
from talksplat.compare.pictures.history import plot_history
from talksplat.compare.pictures.metrics import plot_metrics
from talksplat.compare.pictures.pareto import plot_pareto
from talksplat.compare.pictures.style import PlotStyle

METRICS, PARETO, HISTORY, FRAMES = "metrics.png", "quality_and_speed.png", "training_time.png", "per_frame.png"
WORST, VIDEO = "worst_frames.jpg", "side_by_side.mp4"


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


def draw_pictures(data: ComparisonData, out: Path, worst_frames: int, video: bool = False) -> list[Picture]:
    """Draw what the runs have the data for, into `out`. What another comparison has left there under these names is removed.

    Args:
        worst_frames: held-out frames to show of each of a few groups; 0: none.
        video: whether to write the video.
    """
    for name in (METRICS, PARETO, HISTORY, FRAMES, WORST, VIDEO):
        (out / name).unlink(missing_ok=True)
    plot_metrics(data, out / METRICS)
    style = PlotStyle(data)
    plot_pareto(data, style, out / PARETO)
    plot_history(data, style, out / HISTORY)
    plot_frames(data, style, out / FRAMES)
    captions = _captions(style)
    poster = None
    if worst_frames:
        from talksplat.compare.pictures import worst_frames as worst  # decoders take a while to load

        worst.draw_worst_frames(data, worst_frames, out / WORST)
        captions[WORST] = ("Worst frames", worst.CAPTION)
    if video:
        from talksplat.compare.pictures import video as side_by_side

        side_by_side.write_side_by_side(data, out / VIDEO)
        captions[VIDEO] = ("Side by side", side_by_side.CAPTION)
        poster = side_by_side.poster_of(out / VIDEO) if (out / VIDEO).is_file() else None
    drawn = {name: texts for name, texts in captions.items() if (out / name).is_file()}
    return [Picture(out / name, *texts, poster if name == VIDEO else None) for name, texts in drawn.items()]


def _captions(style: PlotStyle) -> dict[str, tuple[str, str]]:
    """{file: title and caption} of the plots."""
    colored = f" In colour: {style.words}." if style.words else ""
    shown = f" Shown: {style.words}." if style.words else ""
    return {
        METRICS: (
            "Metrics",
            "A dot for each run, a tick at the mean of a group; the axes show the range of the values, not zero.",
        ),
        PARETO: (
            "Quality against speed",
            "Means of groups, bars of one standard deviation over seeds. On the dashed steps lies what no other group "
            f"beats in speed and quality at once. Hollow: measured on another machine.{colored}",
        ),
        HISTORY: (
            "Quality over training time",
            f"PSNR of a few held-out frames against the training target. Thick: mean over seeds; thin: runs.{colored}",
        ),
        FRAMES: ("Held-out frames", f"Mean over seeds, in a band from the lowest to the highest seed.{shown}"),
    }
