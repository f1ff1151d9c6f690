"""Audio features: interface of the extractors, with rows at an even rate, cut into one window per video frame."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from jaxtyping import Float

from talksplat.errors import UserError
from talksplat.fingerprints import settings_of
from talksplat.media import SAMPLE_RATE

VIDEO_FPS = 25
ROW_RATE = 50  # rows a second in the shared layout
ROW_SAMPLES = SAMPLE_RATE // ROW_RATE


class AudioFeatures(ABC):
    """Features of 16 kHz speech: `__call__(samples[n], num_frames)` gives float32 [N, window, width].

    Args:
        width: numbers in one row.
        window: rows in one window.
        rate: rows a second, a multiple of 25 that divides 16,000.
        first_row: the window of frame k begins at row (rate / 25) k + first_row; None: half a window before the frame,
            so that the frame lies in its middle.
    """

    english_only = False  # trained on English speech only
    wide = False  # windows of hundreds of numbers a row fill disks: `stored` keeps their rows

    def __init__(self, width: int, window: int, rate: int = ROW_RATE, first_row: int | None = None) -> None:
        if first_row is None and (window < 2 or window % 2):
            raise UserError(f"window={window} must be even and at least 2, so that a frame lies in its middle")
        if width < 1 or window < 1:
            raise UserError(f"width={width} and window={window} must be at least 1")
        if rate < VIDEO_FPS or rate % VIDEO_FPS or SAMPLE_RATE % rate:
            raise UserError(f"rate={rate} must be a multiple of {VIDEO_FPS} that divides {SAMPLE_RATE}: try 50 or 100")
        self.width, self.window, self.rate = width, window, rate
        self.first_row = -(window // 2) if first_row is None else first_row

    @abstractmethod
    def rows(self, samples: Float[np.ndarray, " sample"]) -> Float[np.ndarray, "row width"]:
        """Features float32 [max(round(n * rate / 16000), 1), width], the middle of row r at (r + 0.5) / rate seconds."""

    def identity(self) -> dict[str, Any]:
        """JSON values that determine the features of a recording."""
        return settings_of(self)

    def fingerprint(self) -> Float[np.ndarray, " width"]:
        """Mean row of a fixed sound, which distinguishes features of the same shape. Copies of one speech model in other
        formats and precisions agree (`fingerprints.same_features`)."""
        time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
        sweep = np.sin(2 * np.pi * 100 * time * (1 + 15 * time))  # from 100 to 3,100 Hz: the band of speech
        return self.rows((0.3 * sweep * np.sin(4 * np.pi * time) ** 2).astype(np.float32)).mean(0)

    def stored(self, samples: Float[np.ndarray, " sample"], num_frames: int) -> Float[np.ndarray, "frame row width"]:
        """Array stored in a subject folder: the windows, or, where these are `wide`, the two rows of 20 ms of each frame, from
        which `subject_format.audio_windows` rebuilds them."""
        if not self.wide:
            return self(samples, num_frames)
        return take_or_zero(self._checked_rows(samples), np.arange(2 * num_frames).reshape(-1, 2))

    def __call__(self, samples: np.ndarray, num_frames: int | None = None) -> Float[np.ndarray, "frame window width"]:
        """Windows of `samples` (16 kHz, in [-1, 1]), one for each frame at 25 fps.

        N is `num_frames`, or as many as cover the recording. Rows outside the recording are 0.

        Raises:
            UserError: samples that are not one channel, empty or not finite; what `rows` raises.
        """
        rows = self._checked_rows(samples)
        stride = self.rate // VIDEO_FPS
        if num_frames is None:
            num_frames = -(-len(rows) // stride)
        return take_or_zero(rows, stride * np.arange(num_frames)[:, None] + self.first_row + np.arange(self.window))

    def _checked_rows(self, samples: np.ndarray) -> Float[np.ndarray, "row width"]:
        samples = np.asarray(samples, np.float32)
        if samples.ndim != 1 or not len(samples) or not np.isfinite(samples).all():
            raise UserError(f"audio must be one channel of finite samples, not an array of shape {samples.shape}")
        return self.rows(samples)


def take_or_zero(array: np.ndarray, index: np.ndarray) -> np.ndarray:
    """`array[index]`, with zeros where an index lies outside."""
    inside = (index >= 0) & (index < len(array))
    taken = array[np.where(inside, index, 0)]
    taken[~inside] = 0
    return taken
