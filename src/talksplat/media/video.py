"""Video in: any clip that FFmpeg decodes, upright and at a constant frame rate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
from jaxtyping import UInt8

from talksplat.errors import UserError
from talksplat.media.colors import RgbReader
from talksplat.media.tracks import (
    NOTED,
    Say,
    check_step,
    decoded,
    first_shown,
    picture_stream,
    picture_streams,
    start_of,
    warn,
)

HELD = 0.5  # s; pictures shown for longer are said
SAME_SHAPE = 0.02  # relative difference of two aspects up to which a picture is only scaled


@dataclass(frozen=True)
class VideoInfo:
    """What a clip says about itself; `num_frames` and `duration` may be off where the file is broken."""

    width: int  # pixels, upright
    height: int
    fps: float  # on average
    num_frames: int  # at its own frame rate
    duration: float  # seconds
    has_audio: bool
    rotation: int  # degrees counter-clockwise that make the stored picture upright: 0, 90, 180 or 270
    num_tracks: int = 1  # of video
    broken: int = 0  # pictures at the beginning that cannot be decoded whole


def probe(path: str | Path, track: int | None = None) -> VideoInfo:
    """Size, rate and length of a clip, from its header and first frame; of its video track `track`, from 1.

    Raises:
        UserError: no such file, not a video, no such track, no frame that can be decoded.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no such video file: {path}")
    try:
        with av.open(str(path)) as container:
            stream = _video_stream(container, path, track)
            shown = first_shown(container, stream)
            if shown is None:
                raise UserError(f"{path} has a video track without any frame")
            frame, broken = shown
            duration = _duration(container, stream)
            fps = float(stream.average_rate or stream.guessed_rate or 25)
            width, height = _display_size(frame, stream)
            return VideoInfo(
                width=width,
                height=height,
                fps=fps,
                num_frames=stream.frames or round(duration * fps),
                duration=duration,
                has_audio=bool(container.streams.audio),
                rotation=_rotation(frame),
                num_tracks=len(picture_streams(container)),
                broken=broken,
            )
    except (av.FFmpegError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read as a video ({error}): it may be cut off or not a video; try another copy"
        ) from error


def read_frames(
    path: str | Path, fps: float = 25, size: int | None = None, track: int | None = None, say: Say | None = None
) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """RGB frames at a constant `fps`, upright; with `size`, the square in the middle scaled to size x size pixels.

    Frame i is what the clip shows at i / fps seconds after its first frame: the frame nearest in time, or the last one
    shown where the clip holds a picture for longer (variable frame rate). Frames are decoded as they are asked for. A
    clip that breaks off gives the frames before the break and a warning. Pictures of another size than the first are
    scaled to it, HDR and wide gamuts converted to BT.709 (`colors.RgbReader`).

    Args:
        track: number of the video track, from 1; None: the default one, of several the largest.
        say: takes sentences about what is odd; None: they are logged.

    Raises:
        UserError: at once, before the first frame is asked for, where `probe` raises it; when reading comes to it, where
            the picture changes its shape or time stamps run backwards.
    """
    info, say = probe(path, track), say or warn(path)
    if fps <= 0 or (size is not None and size < 2):
        raise UserError(f"fps={fps} and size={size} must be positive")
    if info.num_tracks > 1 and track is None:
        say(f"it has {info.num_tracks} video tracks, of which the default one is read ({info.width}x{info.height})")
    return _generate(Path(path), fps, size, info, track, say)


def _generate(
    path: Path, fps: float, size: int | None, info: VideoInfo, track: int | None, say: Say
) -> Iterator[np.ndarray]:
    # Half a frame of the faster of the two rates: picks the nearest frame, yet never shows one 20 ms too early.
    tolerance = 0.5 / max(info.fps, fps)
    count = 0
    shown: np.ndarray | None = None
    with av.open(str(path)) as container:
        stream = _video_stream(container, path, track)
        stream.thread_type = "AUTO"
        upright = _Upright(stream, info, size, say)
        for current, until in _with_end_times(container, stream, info, say):
            shown = None
            while count / fps + tolerance < until:
                if shown is None:
                    shown = upright(current, count / fps)
                yield shown
                count += 1
    if shown is None and count == 0:
        raise UserError(f"{path}: no frame could be decoded")


def _with_end_times(container, stream, info: VideoInfo, say: Say) -> Iterator[tuple[av.VideoFrame, float]]:
    """Decoded frames and the time (seconds after the first frame) until which each is shown."""
    previous, start, time, last = None, 0.0, 0.0, 0.0
    held: list[str] = []
    try:
        for frame in islice(decoded(container, stream, say), info.broken, None):
            if previous is None:
                start = time = start_of(frame, stream) if frame.time is None else frame.time
                _say_beginning(stream, info, start, say)
            else:
                before, time = time, time + 1 / info.fps if frame.time is None else frame.time
                check_step(container.name, "pictures", before, time)
                if time - start - last > HELD:
                    held.append(f"{time - start - last:.2f} s from {last:.2f} s on")
                last = max(time - start, last)
                yield previous, last
            previous = frame
    except av.FFmpegError as error:
        raise UserError(f"{container.name}: no frame could be decoded ({error}): try another copy") from error
    if held:
        more = f" and {len(held) - 4} more times" if len(held) > 4 else ""
        say(f"the picture stands still for {', '.join(held[:4])}{more}: cut these parts out")
    if previous is not None:
        end = previous.duration * previous.time_base if previous.duration and previous.time_base else 1 / info.fps
        # `_generate` asks at sample times plus its tolerance, half a frame late: the clip's length is rounded, not cut.
        yield previous, last + float(end)


def _say_beginning(stream: av.video.stream.VideoStream, info: VideoInfo, start: float, say: Say) -> None:
    lost = 0.0 if stream.start_time is None else start - float(stream.start_time * stream.time_base)
    if max(lost, info.broken / info.fps) > NOTED:
        lost = max(lost, info.broken / info.fps)
        say(f"the first {lost:.2f} s of picture cannot be decoded: left out, with the sound there")


def _video_stream(container: av.container.InputContainer, path: Path, track: int | None) -> av.video.stream.VideoStream:
    stream = picture_stream(container, track)
    if stream is None:
        raise UserError(f"{path} has no video track that can be decoded: give a video of a talking head")
    return stream


def _duration(container: av.container.InputContainer, stream: av.video.stream.VideoStream) -> float:
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    return 0.0 if container.duration is None else container.duration / av.time_base


def _rotation(frame: av.VideoFrame) -> int:
    return round(frame.rotation / 90) * 90 % 360


def _display_size(frame: av.VideoFrame, stream: av.video.stream.VideoStream) -> tuple[int, int]:
    """Width and height with square pixels, upright."""
    aspect = stream.sample_aspect_ratio
    width = round(frame.width * float(aspect)) if aspect else frame.width
    return (frame.height, width) if _rotation(frame) % 180 else (width, frame.height)


class _Upright:
    """Makes upright RGB frames of one size; `size`: the square in the middle, scaled."""

    def __init__(self, stream: av.video.stream.VideoStream, info: VideoInfo, size: int | None, say: Say) -> None:
        self._stream, self._size, self._say = stream, size, say
        self._first = self._last = (info.width, info.height)
        self._name = stream.container.name
        self._to_rgb = RgbReader(self._name, say)

    def __call__(self, frame: av.VideoFrame, time: float) -> np.ndarray:
        shape = _display_size(frame, self._stream)
        if shape != self._last:
            self._check_shape(shape, time)
        width, height = self._first[::-1] if _rotation(frame) % 180 else self._first
        image = np.ascontiguousarray(np.rot90(self._to_rgb(frame, width, height), _rotation(frame) // 90))
        return image if self._size is None else _square(image, self._size)

    def _check_shape(self, shape: tuple[int, int], time: float) -> None:
        (width, height), (first_width, first_height) = shape, self._first
        change = f"from {first_width}x{first_height} to {width}x{height} at {time:.2f} s"
        if abs(width * first_height / (height * first_width) - 1) > SAME_SHAPE:
            raise UserError(
                f"{self._name}: the shape of the picture changes {change}: cut the video there and give one part"
            )
        self._last = shape
        self._say(f"the size of the picture changes {change}: scaled to {first_width}x{first_height}")


def _square(image: np.ndarray, size: int) -> np.ndarray:
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = image[top : top + side, left : left + side]
    return cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA if side > size else cv2.INTER_CUBIC)
