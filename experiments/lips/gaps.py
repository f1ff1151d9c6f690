"""How far lips are apart: in the training frames of a clip, and in any video. Used by the other programs here."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float

from talksplat.audio import VIDEO_FPS
from talksplat.media import SAMPLE_RATE
from talksplat.media.assets import face_landmarker_path
from talksplat.media.face_landmarker import FaceLandmarker
from talksplat.metrics.landmarks import lip_gap
from talksplat.subject_format.subject import Subject

QUIET_BELOW_LOUD, QUIETEST = 35.0, -60.0  # dB: below the loud moments by so much, or below this, nothing is said
MIN_QUIET, EDGE = 10, 3  # frames of a pause that counts, and those left out at its ends, where lips close and open


def training_gaps(subject: Subject) -> Float[np.ndarray, " frame"]:
    """Lip gap of the training frames, from their `.lms` files; frames without one are left out."""
    points = subject.landmarks[subject.train]
    return np.array([lip_gap(row) for row in points if np.isfinite(row).all()])


def video_gaps(frames: Iterable[np.ndarray], fps: float = VIDEO_FPS) -> Float[np.ndarray, " frame"]:
    """Lip gap of each frame of a video; NaN where no face is found."""
    gaps = []
    with FaceLandmarker(face_landmarker_path(None)) as follower:
        for number, frame in enumerate(frames):
            faces = follower.detect(frame, round(1000 * number / fps))
            gaps.append(lip_gap(faces[0].landmarks68) if faces else np.nan)
    return np.array(gaps)


def percentiles(values: Float[np.ndarray, " frame"], of: Float[np.ndarray, " other"]) -> Float[np.ndarray, " frame"]:
    """What share of `of` is smaller, in percent; NaN stays."""
    ranks = 100 * np.searchsorted(np.sort(of), values) / len(of)
    return np.where(np.isfinite(values), ranks, np.nan)


def loudness(samples: Float[np.ndarray, " sample"], num_frames: int) -> Float[np.ndarray, " frame"]:
    """Level of the 40 ms of each frame in dB of full scale, from sound at 16 kHz."""
    hop = round(SAMPLE_RATE / VIDEO_FPS)
    padded = np.pad(samples[: num_frames * hop], (0, max(0, num_frames * hop - len(samples))))
    return 10 * np.log10((padded.reshape(num_frames, hop).astype(np.float64) ** 2).mean(1) + 1e-12)


def pauses(level: Float[np.ndarray, " frame"]) -> np.ndarray:
    """Frames well inside a pause of at least 0.4 s, bool [frame]."""
    quiet = level < max(np.percentile(level, 95) - QUIET_BELOW_LOUD, QUIETEST)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], quiet, [0]])))
    inside = np.zeros(len(level), bool)
    for start, stop in edges.reshape(-1, 2):
        if stop - start >= MIN_QUIET:
            inside[start + EDGE : stop - EDGE] = True
    return inside
