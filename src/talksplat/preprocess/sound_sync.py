"""Whether sound and picture of a clip belong together in time: how well the sound of a moment explains the lips.

For each lag, a ridge regression from log-mel energies to the shape of the mouth is fitted on most of the clip and tested on
the rest; the lag at which it predicts unseen frames best is the clip's. Mouth opening against loudness alone does not tell:
on two clips of 8 s its correlation stayed below 0.4 with several equal peaks, a syllable apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.signal import butter, find_peaks, sosfiltfilt

from talksplat.preprocess.audio_features import VIDEO_FPS, MelFeatures

RATE, MELS = 100, 24  # mel rows a second, bands
BAND = (0.7, 8.0)  # Hz, where syllables are
CONTEXT = (-0.02, 0.02)  # s around the moment
RIDGE = 0.15  # of the data's own weight
REACH, STEP = 0.5, 0.02  # s
LEAD = 0.08  # s by which lips move before the sound they shape: 0.08 on the one clip of ours that shows a clear peak
FOLDS, GUARD = 6, 8  # parts of the clip, frames left out beside the tested part
CLEAR_SCORE, CLEAR_RATIO = 0.3, 1.5  # of a peak that can be trusted, the second to the next best peak
APART = 0.1  # s between a peak and its rivals
MIN_SECONDS = 4.0

UPPER_LIP, LOWER_LIP, LIP_LEFT, LIP_RIGHT, LIP_TOP, LIP_BOTTOM = 13, 14, 291, 61, 0, 17
NOSE_BASE, CHIN, FOREHEAD, EYE_LEFT, EYE_RIGHT = 2, 152, 10, 263, 33


@dataclass(frozen=True)
class LipSync:
    """Estimate for one clip. `offset` > 0: the sound comes late; None where the clip cannot tell at all."""

    offset: float | None  # s
    confident: bool
    score: float  # mean correlation of predicted and seen mouth shapes at the best lag
    rival: float  # the same at the next best peak
    lags: Float[np.ndarray, " lag"]  # s, already without `LEAD`
    scores: Float[np.ndarray, " lag"]


def mouth_opening(landmarks: Float[np.ndarray, "frame 478 _"]) -> Float[np.ndarray, " frame"]:
    """Gap between the inner lips in heights of the face; NaN where there is no face."""
    points = landmarks[..., :2].astype(np.float64)
    return _distance(points, UPPER_LIP, LOWER_LIP) / _distance(points, FOREHEAD, CHIN)


def envelope(samples: Float[np.ndarray, " sample"], num_frames: int) -> Float[np.ndarray, " frame"]:
    """Loudness of each video frame: mean log-mel energy of its 40 ms, 0 for silence."""
    rows = MelFeatures(num_mels=MELS, rate=VIDEO_FPS).rows(samples).mean(1)
    return np.pad(rows[:num_frames], (0, max(0, num_frames - len(rows))))


def estimate(samples: Float[np.ndarray, " sample"], landmarks: Float[np.ndarray, "frame 478 _"]) -> LipSync:
    """Offset between sound (16 kHz, sample 0 at frame 0) and picture (25 fps; NaN where there is no face)."""
    mouth, seen = _mouth_shape(landmarks)
    sound = MelFeatures(num_mels=MELS, rate=RATE).rows(samples)
    lags = np.arange(-REACH, REACH + STEP / 2, STEP)
    nothing = LipSync(None, False, 0.0, 0.0, lags, np.zeros(len(lags)))
    if seen.sum() < MIN_SECONDS * VIDEO_FPS or len(sound) < MIN_SECONDS * RATE or mouth[seen].std(0).max() < 1e-6:
        return nothing
    mouth, sound = _band_passed(mouth, VIDEO_FPS), _band_passed(sound, RATE)
    if sound.std(0).max() < 1e-6:
        return nothing
    scores = np.array([_score(sound, mouth, seen, lag + LEAD) for lag in lags])
    best = int(scores.argmax())
    rivals = [*find_peaks(scores)[0].tolist(), 0, len(scores) - 1]
    rival = max([float(scores[k]) for k in rivals if abs(lags[k] - lags[best]) > APART], default=0.0)
    confident = bool(scores[best] >= CLEAR_SCORE and scores[best] >= CLEAR_RATIO * rival and 0 < best < len(lags) - 1)
    offset = float(lags[best]) + STEP * _vertex(scores, best)
    return LipSync(offset, confident, float(scores[best]), rival, lags, scores)


def _distance(points: np.ndarray, a: int, b: int) -> Float[np.ndarray, " frame"]:
    return np.linalg.norm(points[:, a] - points[:, b], axis=1)


def _mouth_shape(landmarks: np.ndarray) -> tuple[Float[np.ndarray, "frame 4"], np.ndarray]:
    """Lip gap, jaw, width and height of the mouth in units of the eyes' distance, gaps bridged; and where a face was."""
    points = landmarks[..., :2].astype(np.float64)
    seen = np.isfinite(points[:, 0, 0])
    pairs = ((UPPER_LIP, LOWER_LIP), (NOSE_BASE, CHIN), (LIP_LEFT, LIP_RIGHT), (LIP_TOP, LIP_BOTTOM))
    unit = _distance(points, EYE_LEFT, EYE_RIGHT)
    shape = np.stack([_distance(points, a, b) / unit for a, b in pairs], axis=1)
    if seen.any():
        index = np.arange(len(shape))
        shape = np.stack([np.interp(index, index[seen], column[seen]) for column in shape.T], axis=1)
    return shape, seen


def _band_passed(rows: Float[np.ndarray, "row column"], rate: float) -> Float[np.ndarray, "row column"]:
    return sosfiltfilt(butter(2, BAND, "bandpass", fs=rate, output="sos"), rows, axis=0)


def _score(sound: np.ndarray, mouth: np.ndarray, seen: np.ndarray, lag: float) -> float:
    """Mean correlation over mouth measures of what the sound `lag` seconds later predicts, in parts left out of the fit."""
    at = np.arange(len(mouth)) / VIDEO_FPS + lag
    times = (np.arange(len(sound)) + 0.5) / RATE
    inputs = np.concatenate([np.stack([np.interp(at + c, times, band) for band in sound.T], 1) for c in CONTEXT], 1)
    inputs = inputs / np.maximum(inputs.std(0), 1e-9)
    targets = mouth / np.maximum(mouth[seen].std(0), 1e-9)
    used = np.flatnonzero(seen & (at >= 0) & (at <= times[-1]))
    predicted = np.zeros_like(targets)
    for part in np.array_split(used, FOLDS):
        rest = used[(used < part[0] - GUARD) | (used > part[-1] + GUARD)]
        x = inputs[rest]
        weights = np.linalg.solve(x.T @ x + RIDGE * len(rest) * np.eye(x.shape[1]), x.T @ targets[rest])
        predicted[part] = inputs[part] @ weights
    return float(np.mean([_correlation(a, b) for a, b in zip(predicted[used].T, targets[used].T)]))


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-12))


def _vertex(values: np.ndarray, index: int) -> float:
    """Where the parabola through a peak and its neighbours is highest, in steps from the peak."""
    if not 0 < index < len(values) - 1:
        return 0.0
    left, middle, right = values[index - 1 : index + 2]
    return float(np.clip(0.5 * (left - right) / min(left - 2 * middle + right, -1e-9), -0.5, 0.5))
