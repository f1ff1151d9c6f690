"""Tracks of a file and their time stamps: the same rules for pictures and for sound."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import av

from talksplat.errors import UserError

logger = logging.getLogger(__name__)

Say = Callable[[str], None]  # takes a sentence about a file

NOTED = 0.1  # s; longer gaps are said
BACKWARDS = 0.25  # s; more is another recording, less an encoder's jitter
LONGEST_GAP = 60.0  # s; more is a wrong stamp
LOOKED_AT = 300  # pictures at the beginning among which one that stands for itself is looked for


def warn(path: str | Path) -> Say:
    """Log what is said about a file."""
    return lambda sentence: logger.warning("%s: %s", path, sentence)


def decoded(
    container: av.container.InputContainer, stream: av.video.stream.VideoStream | av.audio.stream.AudioStream, say: Say
) -> Iterator[av.VideoFrame | av.AudioFrame]:
    """Frames of a track. Packets that cannot be decoded are left out, and all after the file breaks off, which is said."""
    what, last, damaged, count = "sound" if stream.type == "audio" else "picture", 0.0, 0, 0
    try:
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.FFmpegError:
                damaged += 1
                continue
            for frame in frames:
                count, last = count + 1, frame.time or last
                yield frame
    except av.FFmpegError as error:
        if not count:
            raise
        say(f"the {what} breaks off at {last:.2f} s ({error}): the rest is left out")
    if damaged and count:
        say(f"{damaged} packets of {what} are damaged and left out")


def picture_streams(container: av.container.InputContainer) -> list[av.video.stream.VideoStream]:
    """Video tracks that can be decoded, cover pictures of music files and thumbnails not counted."""
    kinds = av.stream.Disposition
    covers = kinds.attached_pic | kinds.timed_thumbnails | kinds.still_image
    known = (stream for stream in container.streams.video if stream.codec_context is not None)
    return [stream for stream in known if not stream.disposition & covers]


def picture_stream(
    container: av.container.InputContainer, number: int | None = None
) -> av.video.stream.VideoStream | None:
    """The video track of a number, from 1; None: of those with about as many pictures as any, the one to show by default,
    or the largest. None without any. Raises UserError if there is no such track."""
    streams = picture_streams(container)
    if number is not None:
        if not 1 <= number <= len(streams):
            raise UserError(f"{container.name} has no video track {number}: it has {len(streams)}, counted from 1")
        return streams[number - 1]
    if len(streams) < 2:
        return streams[0] if streams else None
    counts = _count_packets(container.name, [stream.index for stream in streams])
    streams = [stream for stream in streams if 2 * counts[stream.index] > max(counts.values())] or streams
    return max(streams, key=lambda s: (bool(s.disposition & av.stream.Disposition.default), s.width * s.height))


def _count_packets(path: str, indices: list[int]) -> dict[int, int]:
    counts = dict.fromkeys(indices, 0)
    with suppress(av.FFmpegError), av.open(path) as container:
        for packet in container.demux([container.streams[index] for index in indices]):
            counts[packet.stream.index] += packet.size > 0
    return counts


def first_shown(
    container: av.container.InputContainer, stream: av.video.stream.VideoStream
) -> tuple[av.VideoFrame, int] | None:
    """First picture that is whole, and how many come out of the decoder before: those of a recording that was cut within a
    group of pictures are made of pictures that are not there. None where nothing can be decoded."""
    first = None
    for index, frame in zip(range(LOOKED_AT), decoded(container, stream, lambda sentence: None)):
        if frame.key_frame and not frame.is_corrupt:
            return frame, index
        first = first or (frame, 0)
    return first


def start_of(frame: av.VideoFrame, stream: av.video.stream.VideoStream) -> float:
    """Time of the first picture on the clock of the file (s)."""
    start = 0.0 if stream.start_time is None else float(stream.start_time * stream.time_base)
    if frame.time is None or (stream.container.format.name == "avi" and frame.time - start < NOTED):
        return start  # AVI has no times of display; FFmpeg's guess is a picture or two late
    return frame.time


def check_step(path: str | Path, what: str, before: float, now: float) -> None:
    """Raise UserError where the time stamps of a track run backwards or jump; both times in seconds."""
    if now < before - BACKWARDS or now > before + LONGEST_GAP:
        how = "run backwards" if now < before else "jump"
        raise UserError(
            f"{path}: the time stamps of the {what} {how}, from {before:.2f} s to {now:.2f} s, as where recordings are joined: "
            "use one of them, or join them anew (ffmpeg -f concat)"
        )
