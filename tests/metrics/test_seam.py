"""A cut between head and neck raises the seam's gradient, a blur lowers it; flicker counts labels that change."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from talksplat.metrics.label_flicker import flipped_share
from talksplat.metrics.seam import seam_gradient, seam_points
from talksplat.subject_format.labels import Label

SIZE = 128


@pytest.fixture
def labels() -> np.ndarray:
    result = np.zeros((SIZE, SIZE), np.uint8)
    cv2.rectangle(result, (44, 60), (84, 127), int(Label.NECK), -1)
    cv2.rectangle(result, (10, 100), (118, 127), int(Label.TORSO), -1)
    cv2.circle(result, (64, 50), 36, int(Label.HEAD), -1)
    return result


def ramp(slope: float) -> np.ndarray:
    rows = np.arange(SIZE)[:, None, None] * slope + 40
    return np.broadcast_to(rows, (SIZE, SIZE, 3)).astype(np.float32)


def test_places_lie_on_the_border_and_normals_point_out_of_the_head(labels):
    places, normals = seam_points(labels)
    np.testing.assert_allclose(np.linalg.norm(places - [64, 50], axis=1), 36.5, atol=1.5)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, rtol=1e-5)
    outward = places - np.array([64, 50])
    cosine = (outward * normals).sum(1) / np.linalg.norm(outward, axis=1)
    assert np.median(cosine) > 0.98 and cosine.min() > 0.5
    assert places[:, 1].min() > 60, "the border to the background does not count"


def test_a_smooth_picture_has_its_slope_times_the_direction(labels):
    _, normals = seam_points(labels)
    expected = 1.5 * np.abs(normals[:, 1]).mean()
    assert seam_gradient(ramp(1.5), labels) == pytest.approx(expected, rel=0.02)


def test_a_cut_raises_and_a_blur_lowers(labels):
    smooth = ramp(1.0)
    cut = smooth + 20.0 * np.isin(labels, (Label.NECK, Label.TORSO))[..., None]
    ours = seam_gradient(smooth, labels)
    assert seam_gradient(cut, labels) > 3 * ours
    assert seam_gradient(cv2.GaussianBlur(cut, (0, 0), 4), labels) < 0.8 * seam_gradient(cut, labels)
    assert seam_gradient(cut.round().astype(np.uint8), labels) == pytest.approx(seam_gradient(cut, labels), rel=0.05)


def test_parts_are_measured_apart_and_no_border_is_nan(labels):
    picture = ramp(0) + 30.0 * (labels == Label.TORSO)[..., None]
    low = labels.copy()
    low[86:100] = np.where(low[86:100] == Label.NECK, Label.TORSO, low[86:100])
    assert seam_gradient(picture, labels, below=(Label.NECK,)) == 0
    assert np.isnan(seam_gradient(picture, np.zeros((SIZE, SIZE), np.uint8)))
    assert np.isnan(seam_gradient(picture, labels, below=(Label.TORSO,)))


def scene(shift: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    noise = cv2.GaussianBlur(generator.integers(0, 256, (SIZE, SIZE, 3)).astype(np.uint8), (0, 0), 2)
    image = cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX)
    labels = np.zeros((SIZE, SIZE), np.uint8)
    labels[40:90, 40:90] = Label.HEAD
    return np.roll(image, shift, axis=1), np.roll(labels, shift, axis=1)


def test_labels_that_move_with_the_picture_do_not_flicker():
    (first, before), (second, after) = scene(0), scene(3)
    assert flipped_share((first, second), (before, after)) < 0.002
    assert flipped_share((first, second), (before, before)) > 0.01


def test_trembling_outlines_can_be_left_out_of_account():
    (first, before), (second, after) = scene(0), scene(3)
    thin, patch = after.copy(), after.copy()
    thin[39], patch[60:72, 60:72] = Label.HEAD, Label.BACKGROUND
    assert flipped_share((first, second), (before, thin)) > 0.003
    assert flipped_share((first, second), (before, thin), border=2) == 0
    assert flipped_share((first, second), (before, patch), border=2) > 0.005
