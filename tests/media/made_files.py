"""Files whose every picture shows its time and whose sound can be found again in time, with what goes wrong in real ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
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
) -> Path:
    """Pictures as H.264 (or another `codec`), each of `tracks` (time, samples) as 16-bit PCM (MP2 in transport streams), at the times given.
    `keep` says which packets reach the file."""
    packets: list[av.Packet] = []
    with av.open(str(path), "w") as container:
        video = container.add_stream(
            "libx264", rate=25, options={"preset": "ultrafast", "crf": "10", **(options or {})}
        )
        video.height, video.width = pictures[0][1].shape[:2]
        video.pix_fmt, video.codec_context.time_base = "yuv420p", TICKS
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


def lag_at(found: np.ndarray, original: np.ndarray, time: float, length: float = 0.4, most: float = 1.2) -> float:
    """Seconds by which `found` (16 kHz) is late against `original` there, by cross-correlation."""
    a, b = round(time * SAMPLE_RATE), round((time + length) * SAMPLE_RATE)
    margin = round(most * SAMPLE_RATE)
    piece = original[a:b]
    around = np.pad(found, (margin, margin + len(piece)))[a : b + 2 * margin]
    score = np.correlate(around, piece, "valid")
    assert score.max() > 0.6 * np.dot(piece, piece), "the sound is not there"
    return (int(score.argmax()) - margin) / SAMPLE_RATE
