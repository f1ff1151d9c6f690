"""The held-out frames of groups as they were rendered, the originals, and the error between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from jaxtyping import Float, UInt8

from talksplat.compare.data import ComparisonData
from talksplat.compare.load.groups import SeedGroup
from talksplat.compare.load.run import RunResult
from talksplat.compare.pictures.style import ERROR_HIGH
from talksplat.errors import UserError
from talksplat.media.video import probe, read_frames
from talksplat.subject_format.identity import frames_hash
from talksplat.subject_format.images import decode_image, original_path

Frame = UInt8[np.ndarray, "height width 3"]


@dataclass(frozen=True)
class Clip:
    """`test/render.mp4` of a run that stands for its group."""

    title: str
    run: RunResult
    fps: float
    has_audio: bool

    @classmethod
    def open(cls, title: str, run: RunResult) -> Clip:
        """Raises UserError with what is wrong with the video."""
        info, (width, height) = probe(video_path(run)), run.metrics["resolution"]
        # Encoders pad odd sizes by one pixel; anything else is another video.
        if not (0 <= info.height - height <= 1 and 0 <= info.width - width <= 1):
            raise UserError(f"test/render.mp4 is {info.width}x{info.height}, the measured frames are {width}x{height}")
        if info.num_frames != len(run.frame_ids):
            raise UserError(f"test/render.mp4 has {info.num_frames} frames, {len(run.frame_ids)} were measured")
        return cls(title, run, info.fps, info.has_audio)

    def frames(self) -> Iterator[Frame]:
        """All frames, in the order of the run's frame numbers."""
        width, height = self.run.metrics["resolution"]
        return (frame[:height, :width] for frame in read_frames(video_path(self.run), self.fps))


def video_path(run: RunResult) -> Path:
    """Where training leaves the held-out frames."""
    return run.path / "test" / "render.mp4"


def find_clips(data: ComparisonData, limit: int, what: str) -> list[Clip]:
    """A clip for each group: of its first seed that has a video. Where all runs are one group, a clip for each of them.
    Of more than `limit`, the best and the worst. `what` they are for is for the notes on what was left out."""
    groups, candidates = data.groups, []
    if len(groups) == 1:
        groups = [SeedGroup(run.name, [run]) for run in (*groups[0].runs, *groups[0].repeated)]
    for group in groups:
        runs = [run for run in group.runs if video_path(run).is_file()]
        if runs:
            candidates.append(SeedGroup(group.name, runs[:1]))
        else:
            data.notes.leave_out(group.name, f"not in {what}", "no test/render.mp4 in the run folder")
    shown, words = data.pick(candidates, limit)
    clips = []
    for group in shown:
        try:
            clips.append(Clip.open(group.name, group.runs[0]))
        except UserError as error:
            data.notes.leave_out(group.name, f"not in {what}", str(error))
    if words:
        data.notes.add(f"{what} shows {words} with a video")
    return clips


def originals_of(runs: Sequence[RunResult]) -> list[Path] | None:
    """The video's own frames, by the first run whose subject folder is where it was when the run was made and has them all
    in the size of the run; None where there is none."""
    for root in dict.fromkeys(run.subject_root for run in runs):
        paths = [] if root is None else [original_path(root, frame_id) for frame_id in runs[0].frame_ids]
        known = runs[0].identity.get("frames")
        if paths and all(path.is_file() for path in paths) and known in (None, frames_hash(root, runs[0].frame_ids)):
            width, height = runs[0].metrics["resolution"]
            return paths if decode_image(paths[0]).shape[:2] == (height, width) else None
    return None


def absolute_error(original: Frame, rendering: Frame) -> Float[np.ndarray, "height width"]:
    """Mean over red, green and blue of the absolute difference, 0 to 255."""
    return cv2.absdiff(original, rendering).mean(-1, dtype=np.float32)


def paint_error(error: Float[np.ndarray, "height width"]) -> Frame:
    """Colours of an error, on a scale that is the same in all pictures."""
    table = (matplotlib.colormaps["magma"](np.linspace(0, 1, 256))[:, :3] * 255).round().astype(np.uint8)
    return table[(error * (255 / ERROR_HIGH)).round().clip(0, 255).astype(np.uint8)]
