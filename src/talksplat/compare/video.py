"""The held-out frames of several groups next to each other and to the original, with maps of their errors, as a video."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from talksplat.compare.captions import font_size, jpeg, title_height, title_line, write_text
from talksplat.compare.clips import (
    ERROR_HIGH,
    ERROR_MEANING,
    Clip,
    absolute_error,
    find_clips,
    originals_of,
    paint_error,
)
from talksplat.compare.groups import SeedGroup
from talksplat.compare.shown import ranking_column
from talksplat.media import SAMPLE_RATE
from talksplat.media.sound import read_audio
from talksplat.media.video import probe, read_frames
from talksplat.media.video_writer import VideoWriter
from talksplat.subject_format.images import decode_image

CAPTION = f"One run of each group beside the original; below, their errors ({ERROR_MEANING})."
MAX_CLIPS = 6
MAX_WIDTH = 3840  # pixels; wider pictures do not play everywhere
Frame = UInt8[np.ndarray, "height width 3"]


def write_side_by_side(groups: Sequence[SeedGroup], path: Path) -> list[str]:
    """Above, the original and a rendering of each group under its name; below, the absolute errors in colours whose scale
    stands under the original. With the sound of the clip.

    Args:
        groups: runs over the same frames; one run of each is shown, of at most six groups.
        path: MP4 to write; not written where no run has a video.

    Returns:
        what was left out, and why.
    """
    clips, notes = find_clips(groups, MAX_CLIPS, path.name)
    if not clips:
        return [*notes, "no video: no run has test/render.mp4"]
    runs = [clip.run for clip in clips]
    originals = originals_of(runs)
    if originals is None:
        notes.append(
            "no original and no errors in the video: the subject folder of the runs is not at dataset.root any more"
        )
    sound = _sound(clips, originals)
    if sound is None:
        notes.append("no sound in the video: neither the subject folder nor a rendering has any")
    page = _Layout(clips, originals is not None)
    with VideoWriter(path, page.width, page.height, clips[0].fps, sound, SAMPLE_RATE) as writer:
        for pictures in zip(*(clip.frames() for clip in clips)):
            original = None if originals is None else decode_image(originals[writer.num_frames])
            writer.write(page(original, pictures))
    if writer.num_frames < len(runs[0].frame_ids):
        notes.append(f"{path.name} ends after {writer.num_frames} frames: a rendering breaks off there")
    return notes


def poster_of(path: Path) -> bytes:
    """The frame in the middle of a video, as a JPEG."""
    info = probe(path)
    return jpeg(next(islice(read_frames(path, info.fps), info.num_frames // 2, None)))


class _Layout:
    """Places pictures on a frame of the video.

    Args:
        clips: what is shown.
        with_original: whether there are an original and errors.
    """

    def __init__(self, clips: Sequence[Clip], with_original: bool) -> None:
        width, height = clips[0].run.metrics["resolution"]
        columns = len(clips) + with_original
        scale = min(MAX_WIDTH / (columns * width), 1)
        # Even sizes, so that no picture shares colour samples with its neighbour.
        self.cell = (_even(scale * width), _even(scale * height))
        letters = font_size(self.cell[0])
        self.bar = title_height(letters)
        row = self.bar + self.cell[1]
        self.width, self.height = columns * self.cell[0], row * (1 + with_original)
        self._canvas = np.zeros((self.height, self.width, 3), np.uint8)
        titles = ["original"] * with_original + [clip.title for clip in clips]
        self._canvas[: self.bar] = self._line(titles, letters)
        if with_original:
            self._canvas[row : row + self.bar] = self._line(["absolute error", *_values(clips)], letters)
            _draw_scale(self._canvas[row + self.bar :, : self.cell[0]], letters)

    def __call__(self, original: Frame | None, pictures: Sequence[Frame]) -> Frame:
        """One frame."""
        canvas = self._canvas.copy()
        above = [*([] if original is None else [original]), *pictures]
        self._place(canvas, 0, 0, above)
        if original is not None:
            self._place(canvas, 1, 1, [absolute_error(original, picture) for picture in pictures])
        return canvas

    def _place(self, canvas: Frame, row: int, first: int, pictures: Sequence[np.ndarray]) -> None:
        width, height = self.cell
        top = row * (self.bar + height) + self.bar
        for column, picture in enumerate(pictures, first):
            if picture.shape[:2] != (height, width):
                # Errors are scaled before they are coloured: a mean of colours is no colour of the mean.
                picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
            painted = picture if picture.ndim == 3 else paint_error(picture)
            canvas[top : top + height, column * width : (column + 1) * width] = painted

    def _line(self, texts: Sequence[str], letters: int) -> Frame:
        return np.concatenate([title_line(text, self.cell[0], letters) for text in texts], axis=1)


def _even(value: float) -> int:
    return max(2 * int(value / 2 + 1e-6), 2)


def _values(clips: Sequence[Clip]) -> list[str]:
    """Mean over all frames of what groups are ranked by."""
    column = ranking_column([SeedGroup(clip.title, [clip.run]) for clip in clips])
    if column is None:
        return [""] * len(clips)
    return [f"{column.title} {column.format(column.value(clip.run))}" for clip in clips]


def _draw_scale(cell: UInt8[np.ndarray, "height width 3"], letters: int) -> None:
    """The colours of the errors, from left to right, and what they mean."""
    height, width = cell.shape[:2]
    line, margin = title_height(letters), max(width // 12, 2)
    top = max((height - 4 * line) // 2, 0)
    for number, text in enumerate(("mean of red, green, blue", "of 0 to 255")):
        write_text(cell, text, margin, top + number * line, letters)
    bar = cell[top + 2 * line : top + 3 * line, margin : width - margin]
    bar[:] = paint_error(np.linspace(0, ERROR_HIGH, bar.shape[1], dtype=np.float32))[None]
    write_text(cell, "0", margin, top + 3 * line, letters)
    write_text(cell, f"≥{ERROR_HIGH}", width - margin - 2 * letters, top + 3 * line, letters)


def _sound(clips: Sequence[Clip], originals: Sequence[Path] | None) -> Float[np.ndarray, " sample"] | None:
    """What is heard in the frames that are shown: of the subject's sound, or of the first rendering that has any."""
    wav = None if originals is None else originals[0].parents[1] / "aud.wav"
    if wav is not None and wav.is_file():
        return np.concatenate(list(_pieces(read_audio(wav), clips[0].run.frame_ids, clips[0].fps)))
    return next((read_audio(clip.path) for clip in clips if clip.has_audio), None)


def _pieces(samples: Float[np.ndarray, " sample"], frame_ids: Sequence[int], fps: float) -> Iterator[np.ndarray]:
    """The sound of each frame: frames are numbered by the whole clip, and some may be missing."""
    ends = [(round(i * SAMPLE_RATE / fps), round((i + 1) * SAMPLE_RATE / fps)) for i in frame_ids]
    samples = np.pad(samples, (0, max(ends[-1][1] - len(samples), 0)))
    return (samples[start:stop] for start, stop in ends)
