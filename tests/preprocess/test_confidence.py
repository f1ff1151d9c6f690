"""Colours that do not follow from the pose are recognised, light and expression are not taken for a hand."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from talksplat.media.video import read_frames
from talksplat.preprocess import confidence
from talksplat.preprocess.faces import FaceStream, watch
from tests.preprocess.face_fixtures import landmarks_of, make_track

COUNT = 200


def clip() -> tuple[np.ndarray, np.ndarray]:
    """Landmarks of a nodding head and colours that follow its pose, with noise."""
    track = make_track(COUNT)
    landmarks = landmarks_of(track, noise=0.3)
    generator = np.random.default_rng(0)
    shading = track.viewmats[:, :3, 2] @ generator.normal(0, 30, (3, 468))
    colors = generator.uniform(80, 180, (468, 3)) + shading[..., None] + generator.normal(0, 4, (COUNT, 468, 3))
    return landmarks, colors.clip(0, 255)


def measure(landmarks: np.ndarray, colors: np.ndarray) -> np.ndarray:
    return confidence.strangeness(landmarks, colors.astype(np.uint8))


def test_a_clean_clip_is_trusted():
    strange = measure(*clip())
    assert not confidence.covered(strange).any() and confidence.confidence(strange).min() > 0.8


def test_a_hand_is_recognised_and_spoils_no_other_frame():
    landmarks, colors = clip()
    colors[50:65, :250] = colors[50:65, 300:301] + 10
    strange = measure(landmarks, colors)
    assert np.flatnonzero(confidence.covered(strange)).tolist() == list(range(50, 65))
    assert (
        confidence.confidence(strange)[50:65].max()
        < 0.5
        < 0.8
        < np.delete(confidence.confidence(strange), range(50, 65)).min()
    )


def test_exposure_does_not_count():
    landmarks, colors = clip()
    colors[100:150] = (0.6 * colors[100:150] + 20).clip(0, 255)
    assert not confidence.covered(measure(landmarks, colors)).any()


def test_another_light_for_half_of_the_clip_is_no_hand():
    landmarks, colors = clip()
    colors[100:, :250] += 60
    assert not confidence.covered(measure(landmarks, colors.clip(0, 255))).any()


def test_no_face_no_confidence():
    landmarks, colors = clip()
    landmarks[20:30] = np.nan
    strange = measure(landmarks, colors)
    assert not confidence.covered(strange)[20:30].any() and not confidence.confidence(strange)[20:30].any()
    assert np.isinf(measure(np.full((3, 478, 3), np.nan), np.zeros((3, 468, 3)))).all()


@pytest.mark.clips
@pytest.mark.assets
def test_a_block_before_a_real_face_and_parts_that_were_kept(tmp_path):
    from talksplat.media.assets import face_landmarker_path

    def frames(until: int = 110):
        for i, frame in zip(range(until), read_frames(Path(os.environ["TALKSPLAT_CLIPS"]) / "hdtf_katie_hill.mp4")):
            if 70 <= i < 85:
                cv2.ellipse(frame, (220, 260), (70, 100), 30, 0, 360, (205, 160, 140), -1)
            yield frame

    model = face_landmarker_path(None)
    whole = watch(frames(), model, kept=tmp_path, part=48)
    strange = confidence.strangeness(whole.landmarks, whole.tones)
    assert np.flatnonzero(confidence.covered(strange)).tolist() == list(range(70, 85))
    (tmp_path / "part-96.npz").unlink()  # as if killed in the last part
    calls = []
    kept = FaceStream.load
    FaceStream.load = lambda path: calls.append(path.name) or kept(path)
    try:
        again = watch(frames(), model, kept=tmp_path, part=48)
    finally:
        FaceStream.load = kept
    assert calls == ["part-0.npz", "part-48.npz"]
    np.testing.assert_array_equal(again.landmarks, whole.landmarks)
    np.testing.assert_array_equal(watch(frames(), model).landmarks, whole.landmarks)  # parts change nothing
