"""All pictures of a comparison, and its video."""

from __future__ import annotations

from pathlib import Path

import matplotlib

from talksplat.compare.data import ComparisonData
from talksplat.compare.pictures.frames import plot_frames
from talksplat.compare.pictures.history import plot_history
from talksplat.compare.pictures.metrics import plot_metrics
from talksplat.compare.pictures.pareto import plot_pareto
from talksplat.compare.pictures.style import PlotStyle

METRICS, PARETO, HISTORY, FRAMES = "metrics.png", "quality_and_speed.png", "training_time.png", "per_frame.png"
WORST, VIDEO = "worst_frames.jpg", "side_by_side.mp4"


@matplotlib.rc_context({"text.parse_math": False})  # a $ in a name begins no formula
def draw_pictures(data: ComparisonData, out: Path, worst_frames: int, video: bool = False) -> bytes | None:
    """Draw what the runs have the data for, into `out`, with `worst_frames` held-out frames of each of a few groups. What another
    comparison has left there under these names is removed. Returns a frame of the video as a JPEG, None without a video."""
    for name in (METRICS, PARETO, HISTORY, FRAMES, WORST, VIDEO):
        (out / name).unlink(missing_ok=True)
    style = PlotStyle(data)
    plot_metrics(data, out / METRICS)
    plot_pareto(data, style, out / PARETO)
    plot_history(data, style, out / HISTORY)
    plot_frames(data, style, out / FRAMES)
    if worst_frames:
        from talksplat.compare.pictures.worst_frames import draw_worst_frames  # decoders take a while to load

        draw_worst_frames(data, worst_frames, out / WORST)
    if video:
        from talksplat.compare.pictures.video import poster_of, write_side_by_side

        write_side_by_side(data, out / VIDEO)
        return poster_of(out / VIDEO) if (out / VIDEO).is_file() else None
    return None
