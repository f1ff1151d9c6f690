"""Files whose every picture shows its time and whose sound can be found again in time, with what goes wrong in real ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import zip_longest
from pathlib import Path

import av
import numpy as np

from talksplat.media import SAMPLE_RATE
from tests.media.test_video import numbered

SECONDS, BLOCK, RATE = 6, 480, 48000
TICKS = Fraction(1, 1000)
QUALITY = {
    "libx264": {"preset": "ultrafast", "crf": "10"},
    "mpeg4": {"qscale": "2", "b": "4000000"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"},
}


def long_sound(rate: int = RATE, seconds: float = SECONDS, seed: int = 0) -> np.ndarray:
    """Noise [n] below 1 kHz, which fits itself at one place alone."""
    steps = np.random.default_rng(seed).uniform(-0.5, 0.5, int(2000 * seconds))
    return np.interp(np.arange(int(rate * seconds)) * 2000 / rate, np.arange(len(steps)), steps).astype(np.float32)


def blocks_of(sound: np.ndarray, rate: int = RATE) -> list[tuple[float, np.ndarray]]:
    """10 ms blocks and their times (s)."""
    return [(start / rate, sound[start : start + rate // 100]) for start in range(0, len(sound), rate // 100)]


def pictures_of(seconds: float = SECONDS, fps: float = 25) -> list[tuple[float, np.ndarray]]:
    """Pictures that show their number at 25 frames a second, and their times (s)."""
    return [(i / fps, numbered(round(25 * i / fps))) for i in range(round(seconds * fps))]


def write_file(
    path: Path,
    pictures: Sequence[tuple[float, np.ndarray]],
    *tracks: Sequence[tuple[float, np.ndarray]],
    rate: int = RATE,
    keep: Callable[[av.Packet], bool] = lambda packet: True,
    options: dict[str, str] | None = None,
    codec: str = "libx264",
    pixels: str = "yuv420p",
) -> Path:
    """Pictures as H.264 (or another `codec`), each of `tracks` (time, samples) as 16-bit PCM (MP2 in transport streams), at the times given.
    `keep` says which packets reach the file."""
    packets: list[av.Packet] = []
    with av.open(str(path), "w") as container:
        video = container.add_stream(
            "libx264", rate=25, options={"preset": "ultrafast", "crf": "10", **(options or {})}
        )
        video.height, video.width = pictures[0][1].shape[:2]
        video.pix_fmt, video.codec_context.time_base = pixels, TICKS
        pcm = "mp2" if path.suffix == ".ts" else "pcm_s16le"
        sounds = [container.add_stream(pcm, rate=rate, layout="mono") for _ in tracks]
        for time, image in pictures:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")
            frame.pts, frame.time_base = round(time / TICKS), TICKS
            packets += video.encode(frame)
        packets += video.encode(None)
        for stream, blocks in zip(sounds, tracks):
            for time, block in blocks:
                pcm = np.round(np.clip(block, -1, 1) * 32767).astype(np.int16)[None]
                sound = av.AudioFrame.from_ndarray(np.ascontiguousarray(pcm), format="s16", layout="mono")
                sound.sample_rate, sound.pts, sound.time_base = rate, round(time * rate), Fraction(1, rate)
                packets += stream.encode(sound)
            packets += stream.encode(None)
        for packet in sorted((p for p in packets if p.dts is not None), key=lambda p: p.dts * p.time_base):
            if keep(packet):
                container.mux(packet)
    return path


def resized(path: Path, parts: Sequence[Sequence[np.ndarray]], pixels: Sequence[str] = ()) -> Path:
    """One track of pictures at 25 frames a second whose size (and pixel format) changes from part to part."""
    at, stream = 0.0, None
    with av.open(str(path), "w") as container:
        for images, form in zip_longest(parts, pixels, fillvalue="yuv420p"):
            part = write_file(
                path.with_name("part.ts"), [(k / 25, image) for k, image in enumerate(images)], pixels=form
            )
            with av.open(str(part)) as source:
                stream = stream or container.add_stream_from_template(source.streams.video[0])
                for packet in source.demux(video=0):
                    if packet.dts is not None:
                        shift = round(
                            (at - float(source.streams.video[0].start_time * packet.time_base)) / packet.time_base
                        )
                        packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, stream
                        container.mux(packet)
            at += len(images) / 25
    return path


def joined(path: Path, video: Path, *tracks: Sequence[tuple[float, np.ndarray]]) -> Path:
    """The pictures of a file with tracks of sound."""
    sound = write_file(path.with_name("sound.mkv"), pictures_of(0.2), *tracks)
    with av.open(str(video)) as seen, av.open(str(sound)) as heard, av.open(str(path), "w") as container:
        streams = {s: container.add_stream_from_template(s) for s in (seen.streams.video[0], *heard.streams.audio)}
        packets = [p for p in (*seen.demux(video=0), *heard.demux(*heard.streams.audio)) if p.dts is not None]
        for packet in sorted(packets, key=lambda p: p.dts * p.time_base):
            packet.stream = streams[packet.stream]
            container.mux(packet)
    return path


def lag_at(found: np.ndarray, original: np.ndarray, time: float, length: float = 0.4, most: float = 1.2) -> float:
    """Seconds by which `found` (16 kHz) is late against `original` there, by cross-correlation."""
    a, b = round(time * SAMPLE_RATE), round((time + length) * SAMPLE_RATE)
    margin = round(most * SAMPLE_RATE)
    piece = original[a:b]
    around = np.pad(found, (margin, margin + len(piece)))[a : b + 2 * margin]
    energy = np.convolve(around**2, np.ones(len(piece)), "valid") * np.dot(piece, piece)
    score = np.correlate(around, piece, "valid") / np.sqrt(np.maximum(energy, 1e-9))
    assert score.max() > 0.6, "the sound is not there"
    return (int(score.argmax()) - margin) / SAMPLE_RATE


TIME = np.arange(SECONDS * RATE) / RATE


def speech() -> np.ndarray:
    """Made-up words: vowels that glide, hisses and pauses of uneven length, 4 syllables a second."""
    random = np.random.default_rng(3)
    sound = np.zeros(SECONDS * RATE)
    at = 0.1
    while at < SECONDS - 0.5:
        length = random.uniform(0.08, 0.2)
        time = np.arange(int(length * RATE)) / RATE
        if random.random() < 0.35:
            part = 0.15 * np.diff(random.normal(size=len(time) + 1))
        else:
            pitch = (
                2 * np.pi * np.cumsum(np.linspace(random.uniform(100, 160), random.uniform(100, 160), len(time))) / RATE
            )
            part = sum(np.sin(k * pitch) / k**1.5 for k in range(1, 20))
        start = int(at * RATE)
        sound[start : start + len(time)] = 0.3 * part * np.hanning(len(time))
        at += length + random.choice([0.02, 0.08, 0.5], p=[0.55, 0.25, 0.2])
    return sound.astype(np.float32)


def music() -> np.ndarray:
    """A melody over a bass, with drums."""
    notes = np.random.default_rng(0).choice([262, 294, 330, 392, 440, 523], 4 * SECONDS)
    time = np.arange(RATE // 4) / RATE
    melody = [sum(np.sin(2 * np.pi * note * k * time) / k for k in (1, 2, 3)) * np.exp(-3 * time) for note in notes]
    drums = np.random.default_rng(1).normal(size=len(TIME)) * np.exp(-(TIME % 0.5) * 50)
    return (0.1 * np.concatenate(melody) + 0.1 * np.sin(2 * np.pi * 82 * TIME) + 0.2 * drums).astype(np.float32)


SPEECH = speech()
OTHERS = {
    "silent": 0 * SPEECH,
    "music": music(),
    "hum": (0.2 * np.sin(2 * np.pi * 50 * TIME)).astype(np.float32),
    "noise": (0.1 * np.random.default_rng(2).normal(size=len(TIME))).astype(np.float32),
}
