"""Mel features of speech, and the windows in which an avatar's audio encoder reads them.

Layout of the shared subject folder (GaussianTalker section 1.7): 50 rows a second, windows of 16 rows, one window for
each video frame, [frames, window, width]. Row r describes the sound from r/50 s to (r+1)/50 s, so window k, rows 2k-8
to 2k+7, spans 0.32 s with its middle exactly at k/25 s, the time of frame k.
"""

from __future__ import annotations

import numpy as np

from talksplat.errors import UserError
from talksplat.preprocess.audio_io import SAMPLE_RATE

VIDEO_FPS = 25

# Fixed for all recordings, so that new speech meets the numbers the avatar was trained on. A full-scale sine has power
# 0.25; speech bands lie around 1e-7 to 1e-2, room noise around 1e-8. log10(1 + p / FLOOR) / DECADES is 0 for silence
# (so that zeros outside a recording are silence too), 0.5 to 0.9 on average over recordings of speech, with a standard
# deviation of 0.5, and 2.4 at the loudest.
FLOOR = 1e-8
DECADES = 3.0


class MelFeatures:
    """Log-mel windows of 16 kHz speech: `__call__(samples[n], num_frames)` gives float32 [N, window, width].

    Args:
        num_mels: mel bands from 50 Hz to 8 kHz, the `width` of the features.
        window: rows in one window, even.
        rate: rows a second, a multiple of 25 that divides 16,000.
    """

    def __init__(self, num_mels: int = 32, window: int = 16, rate: int = 50) -> None:
        if not 4 <= num_mels <= 80:
            raise UserError(f"num_mels={num_mels} is outside 4 to 80")
        if window < 2 or window % 2:
            raise UserError(f"window={window} must be even and at least 2, so that a frame lies in its middle")
        if rate < VIDEO_FPS or rate % VIDEO_FPS or SAMPLE_RATE % rate:
            raise UserError(f"rate={rate} must be a multiple of {VIDEO_FPS} that divides {SAMPLE_RATE}: try 50 or 100")
        self.width = num_mels
        self.window = window
        self.rate = rate

    def rows(self, samples: np.ndarray) -> np.ndarray:
        """Normalised features [round(n * rate / 16000), width], the middle of row r at (r + 0.5) / rate seconds."""
        from librosa.feature import melspectrogram  # slow to import, and not needed where features are read from disk

        hop = SAMPLE_RATE // self.rate
        size = 2 * hop
        num_rows = max(round(len(samples) / hop), 1)
        padded = np.zeros((num_rows - 1) * hop + size, np.float32)
        before = (size - hop) // 2
        count = min(len(samples), len(padded) - before)
        padded[before : before + count] = samples[:count]
        power = melspectrogram(
            y=padded,
            sr=SAMPLE_RATE,
            n_fft=size,
            hop_length=hop,
            center=False,
            n_mels=self.width,
            fmin=50.0,
            fmax=SAMPLE_RATE / 2,
            norm=None,
        )
        power = power.T / hop**2  # the Hann window of 2 * hop samples sums to hop
        return (np.log10(1 + power / FLOOR) / DECADES).astype(np.float32)

    def __call__(self, samples: np.ndarray, num_frames: int | None = None) -> np.ndarray:
        """Windows float32 [N, window, width] of `samples` (float [n], 16 kHz, in [-1, 1]), one per frame at 25 fps.

        N is `num_frames`, or what it takes to cover the recording. Rows outside the recording are 0, which is silence.

        Raises:
            UserError: samples that are not one channel, empty or not finite.
        """
        samples = np.asarray(samples, np.float32)
        if samples.ndim != 1 or not len(samples) or not np.isfinite(samples).all():
            raise UserError(f"audio must be one channel of finite samples, not an array of shape {samples.shape}")
        rows = self.rows(samples)
        stride = self.rate // VIDEO_FPS
        if num_frames is None:
            num_frames = -(-len(rows) // stride)
        first = stride * np.arange(num_frames)[:, None] + np.arange(self.window) - self.window // 2
        return _take_or_zero(rows, first)


def _take_or_zero(array: np.ndarray, index: np.ndarray) -> np.ndarray:
    """`array[index]`, with zeros where an index lies outside."""
    inside = (index >= 0) & (index < len(array))
    taken = array[np.where(inside, index, 0)]
    taken[~inside] = 0
    return taken
