"""Video out: frames streamed into an H.264/AAC MP4 file."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soxr
from jaxtyping import Float, UInt8

from talksplat.errors import UserError
from talksplat.files import writing

logger = logging.getLogger(__name__)

BT709 = 1  # colour matrix, primaries and transfer in H.264's numbering: what players assume for modern video
LIMITED_RANGE = 1
FALLBACK_AUDIO_RATE = 48000


class VideoWriter:
    """Context manager that writes RGB frames, and sound, to an MP4 file.

    The file grows under a temporary name beside `path`; it takes its name when the block ends well, and is removed when
    an exception leaves the block. Sound starts with the first frame and is cut or filled with silence to the length of
    the picture. Frames of odd size get one more row or column, since H.264 with 4:2:0 colours needs even ones.

    Args:
        path: the MP4 file; an existing one is replaced.
        width, height: pixels of the frames that `write` takes.
        fps: frames a second.
        audio: float samples [n] in [-1, 1], mono, at `audio_rate` Hz, or None for no sound.
        crf: H.264 quality, 0 (lossless) to 51.

    Raises:
        UserError: a folder that cannot be written to, a full disk.
    """

    def __init__(
        self,
        path: str | Path,
        width: int,
        height: int,
        fps: float = 25,
        audio: Float[np.ndarray, " sample"] | None = None,
        audio_rate: int = 16000,
        crf: int = 18,
    ) -> None:
        self.path = Path(path)
        self.width, self.height = width, height
        self.fps = Fraction(fps).limit_denominator(1001)
        self.crf = crf
        self.num_frames = 0
        self._audio, self._audio_rate = audio, audio_rate
        self._audio_written = 0
        self._temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")

    def __enter__(self) -> VideoWriter:
        with writing(self.path):  # FFmpeg's errors of this kind are OSErrors too
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._container = av.open(str(self._temporary), "w", format="mp4", options={"movflags": "+faststart"})
        stream = self._container.add_stream("libx264", rate=self.fps, options={"crf": str(self.crf), "preset": "fast"})
        stream.width, stream.height = self.width + self.width % 2, self.height + self.height % 2
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = 1 / self.fps
        stream.codec_context.colorspace = stream.codec_context.color_primaries = stream.codec_context.color_trc = BT709
        stream.codec_context.color_range = LIMITED_RANGE
        self._video_stream = stream
        self._audio_stream = None if self._audio is None else self._add_audio_stream()
        return self

    def _add_audio_stream(self):
        codec = av.Codec("aac", "w")
        samples = np.nan_to_num(np.asarray(self._audio, np.float32))
        if self._audio_rate not in (codec.audio_rates or ()):
            samples = soxr.resample(samples, self._audio_rate, FALLBACK_AUDIO_RATE)
            self._audio_rate = FALLBACK_AUDIO_RATE
        self._audio = np.clip(samples, -1, 1)
        return self._container.add_stream("aac", rate=self._audio_rate, layout="mono")

    def write(self, frame: UInt8[np.ndarray, "height width 3"]) -> None:
        """Append one RGB frame, and the sound up to its end."""
        if frame.shape != (self.height, self.width, 3) or frame.dtype != np.uint8:
            raise ValueError(f"expected uint8 {(self.height, self.width, 3)}, got {frame.dtype} {frame.shape}")
        frame = np.pad(frame, ((0, self.height % 2), (0, self.width % 2), (0, 0)), mode="edge")
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        picture = picture.reformat(format="yuv420p", dst_colorspace="ITU709")
        picture.pts, picture.time_base = self.num_frames, 1 / self.fps
        with writing(self.path):
            self._container.mux(self._video_stream.encode(picture))
            self.num_frames += 1
            if self._audio_stream is not None:
                self._write_audio(final=False)

    def _write_audio(self, final: bool) -> None:
        """Encode the sound that belongs to the frames so far, in whole blocks of the codec; all of it if `final`."""
        stop = round(self.num_frames * self._audio_rate / self.fps)
        block = self._audio_stream.codec_context.frame_size or 1024
        while stop - self._audio_written >= (1 if final else block):
            count = min(block, stop - self._audio_written)
            samples = self._audio[self._audio_written : self._audio_written + count]
            samples = np.pad(samples, (0, count - len(samples)))[None]
            sound = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout="mono")
            # Without a time stamp the encoder's 1,024 samples of delay are not subtracted, and the sound comes late.
            sound.sample_rate, sound.pts = self._audio_rate, self._audio_written
            sound.time_base = Fraction(1, self._audio_rate)
            self._container.mux(self._audio_stream.encode(sound))
            self._audio_written += count

    def __exit__(self, kind, value, traceback) -> None:
        try:
            if kind is None:
                with writing(self.path):
                    self._finish()
            else:
                with suppress(OSError):  # on a full disk, which is what ends the block
                    self._container.close()
        finally:
            self._temporary.unlink(missing_ok=True)

    def _finish(self) -> None:
        if self.num_frames == 0:
            self._container.close()
            raise UserError(f"{self.path}: no frame was written")
        if self._audio_stream is not None:
            self._write_audio(final=True)
            self._container.mux(self._audio_stream.encode(None))
        self._container.mux(self._video_stream.encode(None))
        self._container.close()
        os.replace(self._temporary, self.path)
        logger.info("wrote %s (%d frames)", self.path, self.num_frames)
