"""The held-out frames of several runs next to each other and to the original."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from talksplat.compare.run_result import RunResult
from talksplat.data.images import decode_image, original_path
from talksplat.errors import UserError
from talksplat.metrics.picture import title_bar
from talksplat.preprocess.audio_io import SAMPLE_RATE, read_audio
from talksplat.preprocess.video import probe, read_frames
from talksplat.rendering.video_writer import VideoWriter

MAX_RUNS = 6  # wider pictures than this do not play everywhere


def write_side_by_side(runs: Sequence[RunResult], path: Path) -> list[str]:
    """Original, then each run's `test/render.mp4`, under their names; with the first run's sound.

    Args:
        runs: runs over the same frames; those after the sixth with a video are left out.
        path: MP4 to write; not written where no run has a video.

    Returns:
        what was left out, and why.
    """
    notes = [f"{run.name} is not in the video: it has no test/render.mp4" for run in runs if not _video(run).is_file()]
    shown = [run for run in runs if _video(run).is_file()]
    notes += [f"{run.name} is not in the video: only {MAX_RUNS} runs fit" for run in shown[MAX_RUNS:]]
    shown = shown[:MAX_RUNS]
    if not shown:
        return ["no video: no run has test/render.mp4"]
    width, height = shown[0].metrics["resolution"]
    infos = [probe(_video(run)) for run in shown]
    streams: list[Iterator[np.ndarray]] = [read_frames(_video(run), info.fps) for run, info in zip(shown, infos)]
    titles = [run.name for run in shown]
    originals = _original_paths(shown[0])
    if originals is None:
        notes.append("no original in the video: the subject folder of the run is not at dataset.root any more")
    else:
        streams.insert(0, (decode_image(original) for original in originals))
        titles.insert(0, "original")
    audio = read_audio(_video(shown[0])) if infos[0].has_audio else None
    bar = np.concatenate([title_bar(title, width) for title in titles], axis=1)
    size = (bar.shape[1], height + bar.shape[0])
    with VideoWriter(path, *size, infos[0].fps, audio, SAMPLE_RATE) as writer:
        for pictures in zip(*streams):
            cut = [_fit(picture, width, height, title) for picture, title in zip(pictures, titles)]
            writer.write(np.concatenate([bar, np.concatenate(cut, axis=1)]))
    return notes


def _video(run: RunResult) -> Path:
    return run.path / "test" / "render.mp4"


def _original_paths(run: RunResult) -> list[Path] | None:
    root = (run.config.get("dataset") or {}).get("root")
    if root is None:
        return None
    paths = [original_path(Path(root), frame_id) for frame_id in run.frame_ids]
    return paths if paths and all(path.is_file() for path in paths) else None


def _fit(picture: np.ndarray, width: int, height: int, title: str) -> np.ndarray:
    # Encoders pad odd sizes by one pixel; anything else is another video.
    if not (0 <= picture.shape[0] - height <= 1 and 0 <= picture.shape[1] - width <= 1):
        raise UserError(
            f"the video of {title} is {picture.shape[1]}x{picture.shape[0]}, not {width}x{height}: video=false"
        )
    return picture[:height, :width]
