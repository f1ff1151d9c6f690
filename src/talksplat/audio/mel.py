"""Log-mel spectrogram: needs no download."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from talksplat.audio.base import AudioFeatures
from talksplat.errors import UserError
from talksplat.media import SAMPLE_RATE

# Fixed for all recordings, so that new speech meets the numbers the avatar was trained on. A full-scale sine has power
# 0.25; speech bands lie around 1e-7 to 1e-2, room noise around 1e-8. log10(1 + p / FLOOR) / DECADES is 0 for silence
# (so that zeros outside a recording are silence too), 0.5 to 0.9 on average over recordings of speech, with a standard
# deviation of 0.5, and 2.4 at the loudest.
FLOOR = 1e-8
DECADES = 3.0


class MelFeatures(AudioFeatures):
    """Log-mel rows of 16 kHz speech.

    Args:
        num_mels: mel bands from 50 Hz to 8 kHz, the `width` of the features.
        window: rows in one window, even.
        rate: rows a second, a multiple of 25 that divides 16,000.
    """

    def __init__(self, num_mels: int = 32, window: int = 16, rate: int = 50) -> None:
        if not 4 <= num_mels <= 80:
            raise UserError(f"num_mels={num_mels} is outside 4 to 80")
        super().__init__(num_mels, window, rate)

    def rows(self, samples: Float[np.ndarray, " sample"]) -> Float[np.ndarray, "row width"]:
        """See `AudioFeatures`; silence is 0."""
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
