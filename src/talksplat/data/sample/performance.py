"""Performance of the sample: speech, mouth signals computed from its sound, blinks and head poses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import soxr
import torch
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d

from talksplat.audio.speech import SPEECH_RATE, speak
from talksplat.geometry.cameras import viewmat_from_euler_trans

FPS = 25
AUDIO_RATE = 16000
SENTENCES = (
    "Hello, and welcome aboard. My name does not matter today, but my voice does.",
    "We go up early in the morning, when the air is still cool and the sea is calm.",
    "How long would you like to stay? Two hours, or four, or maybe all afternoon?",
    "You should know that the moon moves around us, and nobody has to push it.",
    "Above the clouds the sky turns black, and far below you see rivers, roads and farms.",
    "Keep your hands on the wheel, breathe slowly, and tell me what you hear.",
    "Papa put a big blue balloon on the table, and a small bee flew into it.",
    "Oh, what a wonderful view! I wish everybody could see it at least once.",
)
SLACK = 8.0  # seconds of speech more than needed, to choose a stretch from
PAUSE = 0.3  # seconds between sentences
HOP = 160  # samples between rows of the loudness curve: 10 ms
WINDOW = 512
# Seconds, standard deviations, cut at four of them: inside the 0.16 s to either side that the audio window sees.
SMOOTHING, ROUNDING_SMOOTHING = 0.035, 0.04
LOUDNESS_RANGE = 32.0  # dB below the loud vowels at which the mouth is shut
REST_ROUNDING = 0.3  # lips at silence
HELD_OUT = 11  # the last 1/11 of the frames is held out
YAW, PITCH, ROLL, SHIFT = np.radians(6.0), np.radians(3.0), np.radians(2.0), 0.05  # amplitudes; shift in dm
PIVOT = np.array([0.0, -1.1, -0.55])  # dm, upper end of the neck: the head turns about it


@dataclass(frozen=True)
class Performance:
    """F frames at 25 fps. Signals in [0, 1]; sound float32 at 16 kHz, exactly F / 25 seconds."""

    audio: Float[np.ndarray, " sample"]
    opening: Float[np.ndarray, " frame"]
    rounding: Float[np.ndarray, " frame"]
    blink: Float[np.ndarray, " frame"]
    viewmats: Float[np.ndarray, "frame 4 4"]


def mouth_signals(samples: Float[np.ndarray, " sample"]) -> tuple[np.ndarray, np.ndarray]:
    """Opening and rounding [F] in [0, 1] of speech at 16 kHz, F = len(samples) / 640 rounded down.

    The mouth opens with the loudness of the voice (200 to 3,000 Hz), more for sounds whose first formant is high (open
    vowels); lips round where the band of the second formant is weak against that of the first (o, u, w). Both are local
    functions of the sound around the frame's time k / 25 s.
    """
    padded = np.pad(samples.astype(np.float64), WINDOW // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(WINDOW))) ** 2
    hertz = np.fft.rfftfreq(WINDOW, 1 / AUDIO_RATE)

    def band(low: float, high: float) -> np.ndarray:
        return power[:, (hertz >= low) & (hertz < high)].sum(1) + 1e-9

    def smooth(curve: np.ndarray, seconds: float) -> np.ndarray:
        return gaussian_filter1d(curve, seconds * AUDIO_RATE / HOP, mode="nearest", truncate=4.0)

    loudness = 10 * np.log10(band(200, 3000))
    loud = np.percentile(loudness, 95)
    voiced = np.clip((loudness - loud) / LOUDNESS_RANGE + 1, 0, 1)
    openness = 1 / (1 + np.exp(-(10 * np.log10(band(500, 1000) / band(200, 500)) + 4) / 4))
    opening = smooth(voiced**1.5 * (0.35 + 0.75 * openness), SMOOTHING)
    dark = 1 / (1 + np.exp(-(10 * np.log10(band(200, 900) / band(1100, 3000)) - 9) / 3))
    rounding = smooth(REST_ROUNDING + voiced * (dark - REST_ROUNDING), ROUNDING_SMOOTHING)
    at = np.arange(len(samples) * FPS // AUDIO_RATE) * (AUDIO_RATE // FPS // HOP)
    return np.clip(opening[at], 0, 1), np.clip(rounding[at], 0, 1)


def _speech(seconds: float, rng: np.random.Generator) -> np.ndarray:
    """At least `seconds` of varied sentences at 16 kHz."""
    pieces, length = [], 0
    pause = np.zeros(int(PAUSE * AUDIO_RATE), np.float32)
    while length < seconds * AUDIO_RATE:
        for index in rng.permutation(len(SENTENCES)):
            spoken = soxr.resample(speak(SENTENCES[index]), SPEECH_RATE, AUDIO_RATE)
            pieces += [spoken.astype(np.float32), pause]
            length += len(spoken) + len(pause)
    return np.concatenate(pieces)


def _choose_start(opening: np.ndarray, num_frames: int) -> int:
    """First frame of a stretch that ends in lively speech: held-out frames of a pause would measure nothing."""
    held_out = max(num_frames // HELD_OUT, 1)
    best, start = -1.0, 0
    for candidate in range(0, len(opening) - num_frames + 1, 5):
        tail = opening[candidate + num_frames - held_out : candidate + num_frames]
        if tail.std() >= 1.05 * opening.std() and (tail < 0.05).mean() < 0.2:
            return candidate
        if tail.std() > best:
            best, start = tail.std(), candidate
    return start


def _blinks(num_frames: int, rng: np.random.Generator) -> np.ndarray:
    """Lids that shut in three frames and open in four, every two or three seconds."""
    shape = np.array([0.35, 0.8, 1.0, 0.85, 0.55, 0.28, 0.1])
    blink = np.zeros(num_frames + len(shape))
    frame = int(rng.integers(15, 40))
    while frame < num_frames:
        blink[frame : frame + len(shape)] = shape
        frame += int(rng.integers(40, 75))
    return blink[:num_frames]


def _sway(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Smooth curve in about [-1, 1] of three slow waves."""
    periods = rng.uniform((7.0, 4.0, 2.2), (10.0, 6.0, 3.2))
    phases = rng.uniform(0, 2 * np.pi, 3)
    return (np.sin(2 * np.pi * time[:, None] / periods + phases) * (0.55, 0.3, 0.15)).sum(1)


def head_poses(
    num_frames: int,
    euler: Float[np.ndarray, 3],
    trans: Float[np.ndarray, 3],
    rng: np.random.Generator,
) -> Float[np.ndarray, "frame 4 4"]:
    """World-to-camera matrices of a head that sways a few degrees about a pose, with its neck kept still."""
    time = np.arange(num_frames) / FPS
    angles = np.stack([_sway(time, rng) * amplitude for amplitude in (PITCH, YAW, ROLL)], -1)
    drift = np.stack([_sway(time, rng) * amplitude for amplitude in (SHIFT, SHIFT / 2, 2 * SHIFT)], -1)
    eulers = torch.from_numpy(euler + angles)
    still = viewmat_from_euler_trans(torch.from_numpy(euler)[None], torch.from_numpy(trans)[None])[0].numpy()
    turned = viewmat_from_euler_trans(eulers, torch.zeros_like(eulers)).numpy()
    neck = still[:3, :3] @ PIVOT + still[:3, 3]
    turned[:, :3, 3] = neck - turned[:, :3, :3] @ PIVOT + drift
    return turned


def perform(num_frames: int, euler: Float[np.ndarray, 3], trans: Float[np.ndarray, 3], seed: int) -> Performance:
    """A performance of `num_frames` around the head pose (`euler` radians, `trans` dm); a function of its arguments."""
    rng = np.random.default_rng(seed)
    speech = _speech(num_frames / FPS + SLACK, rng)
    start = _choose_start(mouth_signals(speech)[0], num_frames)
    step = AUDIO_RATE // FPS
    audio = speech[start * step : (start + num_frames) * step]
    # From the cut piece, whose surroundings are silence, as the audio features will see them.
    opening, rounding = mouth_signals(audio)
    return Performance(audio, opening, rounding, _blinks(num_frames, rng), head_poses(num_frames, euler, trans, rng))
