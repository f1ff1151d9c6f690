"""Soft masks: the alpha of a drawn fringe is found back; a feather lies over the neck and nowhere else."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from talksplat.preprocess.segmentation.matte import SEAM, head_alpha
from talksplat.subject_format.labels import Label

SIZE = 512
HAIR = np.array([90.0, 60.0, 30.0])


@pytest.fixture(scope="module")
def fringe():
    """A head with a fringe of thin strands over a plate with structure; alpha is known."""
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    plate = np.stack([150 + rows / 6, 190 - columns / 8, 200 + 30 * np.sin(columns / 25)], -1)
    mask = np.zeros((SIZE, SIZE), np.float32)
    cv2.circle(mask, (256, 256), 140, 1.0, -1)
    for angle in np.linspace(0, 2 * np.pi, 150):
        start, end = ([256 + r * np.cos(angle), 256 + r * np.sin(angle)] for r in (138, 138 + generator.uniform(2, 8)))
        cv2.line(mask, np.int32(np.round(start)), np.int32(np.round(end)), 1.0, 1, cv2.LINE_AA)
    alpha = cv2.GaussianBlur(mask, (0, 0), 1.0)
    strands = HAIR + 10 * np.sin((rows + columns) / 7)[..., None]
    image = alpha[..., None] * strands + (1 - alpha[..., None]) * plate + generator.normal(0, 2, (SIZE, SIZE, 3))
    labels = np.zeros((SIZE, SIZE), np.uint8)
    cv2.circle(labels, (256, 256), 141, int(Label.HEAD), -1)  # a segmenter misses the strands
    return np.clip(image, 0, 255).astype(np.uint8), labels, plate.astype(np.uint8), alpha


@pytest.mark.parametrize("plate_known", [True, False])
def test_known_alpha_is_found(fringe, plate_known):
    image, labels, plate, alpha = fringe
    found = head_alpha(image, labels, plate, np.full(labels.shape, plate_known)) / 255
    distance = np.hypot(*(np.mgrid[:SIZE, :SIZE] - 256.0))
    band = (distance > 134) & (distance < 150)
    hard = np.abs((labels == Label.HEAD) - alpha)[band].mean()
    assert np.abs(found - alpha)[band].mean() < (0.45 if plate_known else 0.7) * hard
    assert (found[distance < 130] == 1).all() and (found[distance > 156] == 0).all()


def test_light_that_changes_over_time_does_not_spoil_the_plate(fringe):
    image, labels, plate, alpha = fringe
    brighter = np.clip(image.astype(int) + 25, 0, 255).astype(np.uint8)
    found = head_alpha(brighter, labels, plate, np.ones(labels.shape, bool)) / 255
    distance = np.hypot(*(np.mgrid[:SIZE, :SIZE] - 256.0))
    assert found[(distance > 148) & (distance < 151)].mean() < 0.1


def test_the_feather_lies_on_the_neck():
    labels = np.zeros((SIZE, SIZE), np.uint8)
    labels[300:, 150:350], labels[100:300, 150:350] = Label.NECK, Label.HEAD
    image = np.full((SIZE, SIZE, 3), 200, np.uint8)
    image[labels == Label.BACKGROUND] = (20, 60, 20)
    plate = np.full((SIZE, SIZE, 3), (20, 60, 20), np.uint8)
    alpha = head_alpha(image, labels, plate, np.ones((SIZE, SIZE), bool))
    column = alpha[:, 250].astype(int)
    assert (column[150:300] == 255).all(), "the head itself stays whole"
    assert 0 < column[301] < 255 and (np.diff(column[299 : 300 + int(SEAM)]) < 0).all()
    assert (column[301 + int(SEAM) :] == 0).all()
    assert (alpha[320:, 100:149] == 0).all()


def test_frames_without_a_head_or_without_background():
    image, plate = np.full((64, 64, 3), 90, np.uint8), np.full((64, 64, 3), 90, np.uint8)
    seen = np.ones((64, 64), bool)
    assert not head_alpha(image, np.zeros((64, 64), np.uint8), plate, seen).any()
    assert (head_alpha(image, np.full((64, 64), Label.HEAD, np.uint8), plate, seen) == 255).all()
