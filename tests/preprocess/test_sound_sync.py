"""The offset of sound against picture is found where lips follow the sound, and nothing is claimed where they do not."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from talksplat.preprocess import lip_sync
from talksplat.preprocess.audio_io import read_audio
from talksplat.preprocess.faces import watch

SECONDS, RATE = 12, 16000


def speech(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Noise in syllables of irregular length, and how open the mouth is at each frame when both belong together."""
    generator = np.random.default_rng(seed)
    loudness = np.zeros(SECONDS * RATE)
    at = 0.2
    while at < SECONDS - 0.4:
        length = generator.uniform(0.12, 0.3)
        start, stop = round(at * RATE), round((at + length) * RATE)
        loudness[start:stop] = generator.uniform(0.2, 1) * np.hanning(stop - start)
        at += length + generator.choice([0.02, 0.1, 0.5])
    samples = 0.3 * loudness * generator.normal(size=len(loudness)).clip(-3, 3)
    moments = np.arange(SECONDS * 25) / 25 + lip_sync.LEAD
    return samples.astype(np.float32), np.interp(moments, np.arange(len(loudness)) / RATE, np.sqrt(loudness))


def face_with(opening: np.ndarray) -> np.ndarray:
    """Landmarks [F, 478, 3] of a face whose lower lip and jaw follow `opening`."""
    points = np.random.default_rng(1).uniform(0, 300, (478, 3))
    points[[lip_sync.FOREHEAD, lip_sync.CHIN], :2] = (150, 0), (150, 300)
    points[[lip_sync.UPPER_LIP, lip_sync.LOWER_LIP], :2] = (150, 200), (150, 201)
    faces = np.repeat(points[None], len(opening), axis=0)
    faces[:, [lip_sync.LOWER_LIP, lip_sync.LIP_BOTTOM, lip_sync.CHIN], 1] += 30 * opening[:, None]
    faces[..., :2] += np.random.default_rng(2).normal(0, 0.5, faces[..., :2].shape)
    return faces.astype(np.float32)


def shifted(samples: np.ndarray, seconds: float) -> np.ndarray:
    """Sound that comes `seconds` later, as long as before."""
    count = round(seconds * RATE)
    moved = np.zeros_like(samples)
    if count >= 0:
        moved[count:] = samples[: len(samples) - count]
    else:
        moved[:count] = samples[-count:]
    return moved


@pytest.mark.parametrize("late", [-0.2, -0.08, 0.0, 0.08, 0.2])
def test_a_shift_of_the_sound_is_found(late):
    samples, opening = speech()
    found = lip_sync.estimate(shifted(samples, late), face_with(opening))
    assert found.confident and found.offset == pytest.approx(late, abs=0.02)
    assert found.score > 2 * found.rival


def test_nothing_is_claimed_for_sound_of_another_clip_silence_or_a_still_mouth():
    samples, opening = speech()
    other, _ = speech(seed=9)
    assert not lip_sync.estimate(other, face_with(opening)).confident
    assert lip_sync.estimate(np.zeros_like(samples), face_with(opening)).offset is None
    still = np.repeat(face_with(opening[:1]), len(opening), axis=0)
    assert lip_sync.estimate(samples, still).offset is None
    assert lip_sync.estimate(samples, face_with(opening)[:50]).offset is None  # two seconds tell nothing


def test_frames_without_a_face_do_not_count():
    samples, opening = speech()
    faces = face_with(opening)
    faces[60:85] = np.nan
    faces[200:210] = np.nan
    found = lip_sync.estimate(shifted(samples, 0.12), faces)
    assert found.confident and found.offset == pytest.approx(0.12, abs=0.02)


def test_opening_and_envelope_are_by_frame():
    samples, opening = speech()
    gap = lip_sync.mouth_opening(face_with(opening))
    assert np.corrcoef(gap, opening)[0, 1] > 0.9 and gap.min() > 0 and gap.max() < 0.3
    loud = lip_sync.envelope(samples, 400)
    assert loud.shape == (400,) and not loud[301:].any() and loud[:290].max() > 0.5


@pytest.mark.clips
@pytest.mark.assets
def test_a_real_clip_moves_with_its_sound():
    clip = Path(os.environ["TALKSPLAT_CLIPS"]) / "hdtf_radio2.mp4"
    from talksplat.preprocess.assets import face_landmarker_path
    from talksplat.preprocess.video import read_frames

    landmarks = watch(read_frames(clip), face_landmarker_path(None)).landmarks
    samples = read_audio(clip)
    found = {late: lip_sync.estimate(shifted(samples, late), landmarks) for late in (-0.2, 0.0, 0.2)}
    assert all(sync.confident for sync in found.values())
    assert found[0.2].offset - found[0.0].offset == pytest.approx(0.2, abs=0.03)
    assert found[-0.2].offset - found[0.0].offset == pytest.approx(-0.2, abs=0.03)
