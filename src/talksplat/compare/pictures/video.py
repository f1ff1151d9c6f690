"""The held-out frames of several groups next to each other and to the original, with maps of their errors, as a video."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float

from talksplat.compare.data import ComparisonData
from talksplat.compare.load.groups import SeedGroup
from talksplat.compare.pictures import footage
from talksplat.compare.pictures.style import ERROR_HIGH, font_size, jpeg, title_height, title_line, write_text
from talksplat.media import SAMPLE_RATE
from talksplat.media.sound import read_audio
from talksplat.media.video import probe, read_frames
from talksplat.media.video_writer import VideoWriter
from talksplat.subject_format.images import decode_image

MAX_CLIPS = 6
MAX_WIDTH = 3840  # pixels; wider pictures do not play everywhere


def write_side_by_side(data: ComparisonData, path: Path) -> None:
    """Above, the original and a rendering of each group under its name; below, the absolute errors in colours whose scale
    stands under the original. With the sound of the clip. One run of each group is shown, of at most six groups; no file is
    written where no run has a video."""
    clips = footage.find_clips(data, MAX_CLIPS, path.name)
    if not clips:
        return data.notes.add("no video: no run has test/render.mp4")
    originals = footage.originals_of([clip.run for clip in clips])
    if originals is None:
        lost = "the subject folder of the runs is not at dataset.root any more"
        data.notes.add(f"no original and no errors in the video: {lost}")
    sound = _sound(clips, originals)
    if sound is None:
        data.notes.add("no sound in the video: neither the subject folder nor a rendering has any")
    layout = _Layout(data, clips, originals is not None)
    with VideoWriter(path, layout.width, layout.height, clips[0].fps, sound, SAMPLE_RATE) as writer:
        for pictures in zip(*(clip.frames() for clip in clips)):
            original = None if originals is None else decode_image(originals[writer.num_frames])
            writer.write(layout(original, pictures))
    if writer.num_frames < len(clips[0].run.frame_ids):
        data.notes.add(f"{path.name} ends after {writer.num_frames} frames: a rendering breaks off there")


def poster_of(path: Path) -> bytes:
    """The frame in the middle of a video, as a JPEG."""
    info = probe(path)
    return jpeg(next(islice(read_frames(path, info.fps), info.num_frames // 2, None)))


class _Layout:
    """Places pictures on a frame of the video; `with_original`: whether there are an original and errors."""

    def __init__(self, data: ComparisonData, clips: Sequence[footage.Clip], with_original: bool) -> None:
        width, height = data.runs[0].metrics["resolution"]
        columns = len(clips) + with_original
        scale = min(MAX_WIDTH / (columns * width), 1)
        # Even sizes, so that no picture shares colour samples with its neighbour.
        self.cell = tuple(max(2 * int(scale * side / 2 + 1e-6), 2) for side in (width, height))
        letters = font_size(self.cell[0])
        self.width = columns * self.cell[0]
        self.height = (title_height(letters) + self.cell[1]) * (1 + with_original)
        ranked = data.ranking_column([SeedGroup(clip.title, [clip.run]) for clip in clips])
        values = [f"{ranked.title} {ranked.format(ranked.value(clip.run))}" if ranked else "" for clip in clips]
        titles = ["original"] * with_original + [clip.title for clip in clips]
        lines = (titles, ["absolute error", *values])
        self._lines = [np.hstack([title_line(text, self.cell[0], letters) for text in line]) for line in lines]
        self._scale = _scale(*self.cell, letters)

    def __call__(self, original: footage.Frame | None, pictures: Sequence[footage.Frame]) -> footage.Frame:
        """One frame."""
        if original is None:
            return np.vstack([self._lines[0], np.hstack([self._fit(picture) for picture in pictures])])
        # Errors are scaled before they are coloured: a mean of colours is no colour of the mean.
        errors = [footage.paint_error(self._fit(footage.absolute_error(original, picture))) for picture in pictures]
        above = np.hstack([self._fit(picture) for picture in (original, *pictures)])
        return np.vstack([self._lines[0], above, self._lines[1], np.hstack([self._scale, *errors])])

    def _fit(self, picture: np.ndarray) -> np.ndarray:
        same = picture.shape[1::-1] == self.cell
        return picture if same else cv2.resize(picture, self.cell, interpolation=cv2.INTER_AREA)


def _scale(width: int, height: int, letters: int) -> footage.Frame:
    """The colours of the errors, from left to right, and what they mean."""
    cell = np.zeros((height, width, 3), np.uint8)
    line, margin = title_height(letters), max(width // 12, 2)
    top = max((height - 4 * line) // 2, 0)
    for number, text in enumerate(("mean of red, green, blue", "of 0 to 255")):
        write_text(cell, text, margin, top + number * line, letters)
    bar = cell[top + 2 * line : top + 3 * line, margin : width - margin]
    bar[:] = footage.paint_error(np.linspace(0, ERROR_HIGH, bar.shape[1], dtype=np.float32))[None]
    write_text(cell, "0", margin, top + 3 * line, letters)
    write_text(cell, f"≥{ERROR_HIGH}", width - margin - 2 * letters, top + 3 * line, letters)
    return cell


def _sound(clips: Sequence[footage.Clip], originals: Sequence[Path] | None) -> Float[np.ndarray, " sample"] | None:
    """What is heard in the frames that are shown: of the subject's sound, or of the first rendering that has any."""
    wav = None if originals is None else originals[0].parents[1] / "aud.wav"
    if wav is None or not wav.is_file():
        return next((read_audio(footage.video_path(clip.run)) for clip in clips if clip.has_audio), None)
    # Frames are numbered by the whole clip, and some may be missing.
    ends = [[round((i + j) * SAMPLE_RATE / clips[0].fps) for j in (0, 1)] for i in clips[0].run.frame_ids]
    samples = read_audio(wav)
    samples = np.pad(samples, (0, max(ends[-1][1] - len(samples), 0)))
    return np.concatenate([samples[start:stop] for start, stop in ends])
