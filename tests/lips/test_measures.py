"""Lip numbers do not depend on where the head is, and are those of the lips."""

from __future__ import annotations

import numpy as np
import pytest

from talksplat.lips import TARGETS, lip_measures, lip_numbers

FRAMES = 60


def talking_face() -> tuple[np.ndarray, np.ndarray]:
    """Landmarks [frame, 68, 2] of a face whose lower lip and chin go down, and by how many pixels."""
    random = np.random.default_rng(0)
    face = random.uniform(0, 200, (68, 2))
    face[[36, 39, 42, 45]] = [[50, 80], [80, 80], [120, 80], [150, 80]]
    face[[0, 16]], face[[27, 28]], face[8] = [[20, 85], [180, 85]], [[100, 80], [100, 95]], [100, 220]
    face[31:36] = [[90, 120], [95, 122], [100, 123], [105, 122], [110, 120]]
    face[61:64], face[65:68] = [[95, 160], [100, 160], [105, 160]], [[105, 160], [100, 160], [95, 160]]
    opening = random.uniform(0, 20, FRAMES)
    faces = np.repeat(face[None], FRAMES, 0)
    faces[:, [8, 65, 66, 67], 1] += opening[:, None]
    return faces, opening


def test_gap_and_jaw_are_those_of_the_lips():
    faces, opening = talking_face()
    measures = lip_measures(faces)
    height = 220 + opening.mean() - 80
    np.testing.assert_allclose(measures[:, 0], opening / height, atol=1e-9)
    np.testing.assert_allclose(measures[:, 2], (97 + opening) / height, atol=1e-9)
    assert measures.shape == (FRAMES, 43)


def test_place_size_and_roll_of_the_head_do_not_count():
    faces, _ = talking_face()
    random = np.random.default_rng(1)
    turned = []
    for face in faces:
        angle, size = random.uniform(-0.5, 0.5), random.uniform(0.5, 2)
        turn = size * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        turned.append(face @ turn.T + random.uniform(-50, 50, 2))
    np.testing.assert_allclose(lip_measures(np.stack(turned)), lip_measures(faces), atol=1e-9)


def test_frames_without_a_face_stay_nan_and_do_not_count():
    faces, _ = talking_face()
    gaps = faces.copy()
    gaps[5:9] = np.nan
    measures = lip_measures(gaps)
    assert np.isnan(measures[5:9]).all() and np.isfinite(np.delete(measures, range(5, 9), 0)).all()
    np.testing.assert_allclose(np.delete(measures, range(5, 9), 0), lip_measures(np.delete(faces, range(5, 9), 0)))
    numbers = lip_numbers(measures, np.eye(6, 40))
    assert numbers.shape == (FRAMES, len(TARGETS)) and np.isnan(numbers[5:9]).all()
    assert np.nanmean(numbers[:, 0]) == pytest.approx(0, abs=1e-9) and np.nanstd(numbers[:, 0]) == pytest.approx(1)
    assert np.isnan(lip_measures(np.full((3, 68, 2), np.nan))).all()
