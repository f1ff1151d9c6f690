"""Video in: any clip that FFmpeg decodes, upright and at a constant frame rate."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from jaxtyping import UInt8

from talksplat.errors import UserError
from talksplat.media.sound import picture_stream

logger = logging.getLogger(__name__)


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


def probe(path: str | Path) -> VideoInfo:
    """Size, rate and length of a clip, from its header and first frame.

    Raises:
        UserError: no such file, not a video, no frame that can be decoded.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no such video file: {path}")
    try:
        with av.open(str(path)) as container:
            stream = _video_stream(container, path)
            frame = next(container.decode(stream), None)
            if frame is None:
                raise UserError(f"{path} has a video track without any frame")
            duration = _duration(container, stream)
            fps = float(stream.average_rate or stream.guessed_rate or 25)
            rotation = _rotation(frame)
            width, height = _display_size(frame, stream)
            return VideoInfo(
                width=height if rotation % 180 else width,
                height=width if rotation % 180 else height,
                fps=fps,
                num_frames=stream.frames or round(duration * fps),
                duration=duration,
                has_audio=bool(container.streams.audio),
                rotation=rotation,
            )
    except (av.FFmpegError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read as a video ({error}): it may be cut off or not a video; try another copy"
        ) from error


def read_frames(
    path: str | Path, fps: float = 25, size: int | None = None
) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """RGB frames at a constant `fps`, upright; with `size`, the square in the middle scaled to size x size pixels.

    Frame i is what the clip shows at i / fps seconds after its first frame: the frame nearest in time, or the last one
    shown where the clip holds a picture for longer (variable frame rate). Frames are decoded as they are asked for. A
    clip that breaks off gives the frames before the break and a warning.

    Raises:
        UserError: at once, before the first frame is asked for, where `probe` raises it.
    """
    info = probe(path)
    if fps <= 0 or (size is not None and size < 2):
        raise UserError(f"fps={fps} and size={size} must be positive")
    return _generate(Path(path), fps, size, info)


def _generate(path: Path, fps: float, size: int | None, info: VideoInfo) -> Iterator[np.ndarray]:
    # Half a frame of the faster of the two rates: picks the nearest frame, yet never shows one 20 ms too early.
    tolerance = 0.5 / max(info.fps, fps)
    count = 0
    shown: np.ndarray | None = None
    with av.open(str(path)) as container:
        stream = _video_stream(container, path)
        stream.thread_type = "AUTO"
        for current, until in _with_end_times(container, stream, info.fps):
            shown = None
            while count / fps + tolerance < until:
                if shown is None:
                    shown = _upright_rgb(current, stream, size)
                yield shown
                count += 1
    if shown is None and count == 0:
        raise UserError(f"{path}: no frame could be decoded")


def _with_end_times(container, stream, rate: float) -> Iterator[tuple[av.VideoFrame, float]]:
    """Decoded frames and the time (seconds after the first frame) until which each is shown."""
    previous, start, last = None, None, 0.0
    try:
        for index, frame in enumerate(container.decode(stream)):
            time = index / rate if frame.time is None else frame.time
            start = time if start is None else start
            if previous is not None:
                last = max(time - start, last)
                yield previous, last
            previous = frame
    except av.FFmpegError as error:
        if previous is None:
            raise UserError(f"{container.name}: no frame could be decoded ({error}): try another copy") from error
        logger.warning("%s breaks off after %.2f s (%s): the rest is left out", container.name, last, error)
    if previous is not None:
        held = float(previous.duration * previous.time_base) if previous.duration and previous.time_base else 1 / rate
        # `_generate` asks at sample times plus its tolerance, half a frame late: the clip's length is rounded, not cut.
        yield previous, last + held


def _video_stream(container: av.container.InputContainer, path: Path) -> av.video.stream.VideoStream:
    stream = picture_stream(container)
    if stream is None:
        raise UserError(f"{path} has no video track: give a video of a talking head")
    return stream


def _duration(container: av.container.InputContainer, stream: av.video.stream.VideoStream) -> float:
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    return 0.0 if container.duration is None else container.duration / av.time_base


def _rotation(frame: av.VideoFrame) -> int:
    return round(frame.rotation / 90) * 90 % 360


def _display_size(frame: av.VideoFrame, stream: av.video.stream.VideoStream) -> tuple[int, int]:
    """Width and height with square pixels, before rotation."""
    aspect = stream.sample_aspect_ratio
    return round(frame.width * float(aspect)) if aspect else frame.width, frame.height


def _upright_rgb(frame: av.VideoFrame, stream: av.video.stream.VideoStream, size: int | None) -> np.ndarray:
    width, height = _display_size(frame, stream)
    image = frame.to_ndarray(format="rgb24", width=width, height=height)
    image = np.ascontiguousarray(np.rot90(image, _rotation(frame) // 90))
    if size is None:
        return image
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = image[top : top + side, left : left + side]
    return cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA if side > size else cv2.INTER_CUBIC)
