"""Which of several sound tracks is speech: told from silence, music and noise by what syllables and pauses do to a sound."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.ndimage import uniform_filter1d

from talksplat.media import SAMPLE_RATE

SILENCE = 1e-4  # three steps of 16-bit PCM: nothing was recorded
WINDOW, STEP = 400, 160  # samples; 10 ms frames
FAINT = 1e-3  # of the loud frames' energy
# Speech, clean or with music or noise under it, has about these values; each counts up to there.
PAUSES, TILT, SYLLABLES = 0.5, 2.8, 0.3


def likeness(samples: Float[np.ndarray, " sample"]) -> float:
    """0 for silence to 1 for speech (16 kHz): pauses between words, hissing and voiced sounds in turn, 2 to 9 syllables a
    second and no steady beat. Recordings of speech have 0.6 and more; made music, drums and noise less than 0.55."""
    if len(samples) < SAMPLE_RATE or np.abs(samples).max() < SILENCE:
        return 0.0
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::STEP]
    low, middle, high = _bands(frames, (100, 1000), (300, 3500), (2500, 7500))
    total = low + middle + high
    loud = total > FAINT * np.percentile(total, 95)
    if not loud.any():
        return 0.0
    tilt = float(np.log((high + 1e-9) / (low + 1e-9))[loud].std())
    pauses = float((middle < 0.5 * uniform_filter1d(middle, 100)).mean())
    level = np.log(middle + 1e-4 * middle.mean() + 1e-15)
    power = np.abs(np.fft.rfft((level - level.mean()) * np.hanning(len(level)))) ** 2
    rate = np.fft.rfftfreq(len(level), STEP / SAMPLE_RATE)
    syllables = power[(rate > 2) & (rate < 9)].sum() / max(power[(rate > 0.5) & (rate < 40)].sum(), 1e-9)
    slow = power[(rate > 0.5) & (rate < 9)]
    beat = slow.max() / max(slow.sum(), 1e-9)
    return float(min(pauses / PAUSES, 1) * min(tilt / TILT, 1) * min(syllables / SYLLABLES, 1) * (1 - beat))


def _bands(frames: Float[np.ndarray, "frame sample"], *bands: tuple[int, int]) -> list[Float[np.ndarray, " frame"]]:
    """Energy of each frame between two frequencies (Hz)."""
    frequency = np.fft.rfftfreq(512, 1 / SAMPLE_RATE)
    window = np.hanning(WINDOW).astype(np.float32)
    parts = [np.abs(np.fft.rfft(part * window, 512)) ** 2 for part in np.array_split(frames, len(frames) // 3000 + 1)]
    return [np.concatenate([p[:, (frequency > a) & (frequency < b)].sum(1) for p in parts]) for a, b in bands]


def most_like_speech(tracks: Sequence[Float[np.ndarray, " sample"]]) -> int:
    """Position of the track (16 kHz) that is most like speech; the first of equals."""
    return int(np.argmax([likeness(samples) for samples in tracks]))
