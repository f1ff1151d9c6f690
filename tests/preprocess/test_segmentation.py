"""Labels of a drawn person: long hair is head, cloth is torso, skin under the jaw is neck; no labels are given."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from talksplat.data.labels import Label
from talksplat.errors import UserError
from talksplat.preprocess.face_tracker.face_regions import FACE_OVAL
from talksplat.preprocess.segmentation.base import ClipImages
from talksplat.preprocess.segmentation.filtered import clean
from talksplat.preprocess.segmentation.head_shape import ellipsoid_points, head_shape, project_points
from talksplat.preprocess.segmentation.local_mixture import LocalMixture
from talksplat.preprocess.segmentation.segmenter import ColorModelSegmenter
from tests.preprocess.face_fixtures import landmarks_of, make_track

SIZE, COUNT = 192, 16
HAIR, SKIN, SHADE, CLOTH = (90, 60, 30), (215, 165, 140), (190, 140, 115), (30, 50, 130)


def draw(track, position, long_hair, background, generator):
    """Image and true labels of one frame."""
    image, labels = background.copy(), np.zeros((SIZE, SIZE), np.uint8)
    viewmat = track.viewmats[position]

    def fill(points, color, label):
        places = project_points(np.asarray(points, float), viewmat, track.focal, SIZE, SIZE).astype(np.float32)
        hull = np.round(cv2.convexHull(places)).astype(np.int32)
        cv2.fillConvexPoly(image, hull, color)
        cv2.fillConvexPoly(labels, hull, int(label))

    cv2.fillConvexPoly(image, np.array([[20, 191], [50, 172], [142, 172], [172, 191]]), CLOTH)
    cv2.fillConvexPoly(labels, np.array([[20, 191], [50, 172], [142, 172], [172, 191]]), int(Label.TORSO))
    fill([[x, y, -0.3] for x in (-0.4, 0.4) for y in (-0.5, -1.25)], SHADE, Label.NECK)
    fill(ellipsoid_points((0, 0.3, -0.45), (0.95, 1.25, 1.0)), HAIR, Label.HEAD)
    if long_hair:
        for side in (-1, 1):
            fill([[side * x, y, -0.2] for x in (0.5, 0.95) for y in (0.4, -1.5)], HAIR, Label.HEAD)
    fill(track.mesh[list(FACE_OVAL)], SKIN, Label.HEAD)
    noisy = image + generator.normal(0, 4, image.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8), labels


@pytest.fixture(scope="module", params=[True, False], ids=["long hair", "short hair"])
def segmented(request):
    generator = np.random.default_rng(0)
    track = make_track(COUNT * 4, SIZE)
    for field in ("frame_ids", "viewmats", "rigid_error", "full_error"):
        setattr(track, field, getattr(track, field)[::4])
    rows = np.linspace(0, 1, SIZE)[:, None, None]
    background = (rows * np.array([60, 90, 60]) + np.array([120, 130, 150]) + np.zeros((SIZE, SIZE, 3))).astype(
        np.uint8
    )
    background[:, 30:50] = (60, 20, 20)  # a curtain
    frames = [draw(track, i, request.param, background, generator) for i in range(COUNT)]
    landmarks = landmarks_of(track, SIZE)[..., :2]
    clip = ClipImages(lambda i: frames[i][0], track, landmarks, SIZE, SIZE)
    segmenter = ColorModelSegmenter(keyframes=COUNT, size=SIZE)
    segmenter.fit(clip)
    chosen = (0, 5, 11)
    return request.param, [segmenter(clip, i) for i in chosen], [frames[i][1] for i in chosen]


def overlap(found, truth, label):
    a, b = found == label, truth == label
    return (a & b).sum() / max((a | b).sum(), 1)


def test_head_with_its_hair_is_found(segmented):
    _, found, truth = segmented
    assert min(overlap(f, t, Label.HEAD) for f, t in zip(found, truth)) > 0.93


def test_background_is_left_alone(segmented):
    _, found, truth = segmented
    assert min(overlap(f, t, Label.BACKGROUND) for f, t in zip(found, truth)) > 0.95


def test_neck_and_cloth_are_told_apart(segmented):
    _, found, truth = segmented
    assert np.mean([overlap(f, t, Label.NECK) for f, t in zip(found, truth)]) > 0.7
    assert np.mean([overlap(f, t, Label.TORSO) for f, t in zip(found, truth)]) > 0.7


def test_hair_below_the_chin_belongs_to_the_head(segmented):
    long_hair, found, truth = segmented
    low = np.arange(SIZE)[:, None] > 160
    for f, t in zip(found, truth):
        true_hair = (t == Label.HEAD) & low
        if long_hair and true_hair.sum() > 50:
            assert (f[true_hair] == Label.HEAD).mean() > 0.8


def test_islands_are_merged_and_strangers_dropped():
    labels = np.zeros((100, 100), np.uint8)
    labels[20:80, 20:60] = Label.HEAD
    labels[40:42, 40:42] = Label.BACKGROUND  # a speck in the face
    labels[10:30, 80:95] = Label.HEAD  # somebody else
    face = np.zeros((100, 100), bool)
    face[45:60, 30:50] = True
    cleaned = clean(labels, face, smallest=20)
    assert (cleaned[20:80, 20:60] == Label.HEAD).all() and (cleaned[:, 65:] == Label.BACKGROUND).all()


def test_mixture_density_is_a_gaussians():
    generator = np.random.default_rng(0)
    features = generator.normal([5, 0, 0, 1, 2], [3, 2, 2, 4, 4], (4000, 5)).astype(np.float32)
    mixture = LocalMixture(components=1, floor=0.0, iterations=2).fit(features)
    precision, mean = np.linalg.inv(np.cov(features.T)), features.mean(0)
    centred = features[:50] - mean
    expected = -0.5 * np.einsum("ni,ij,nj->n", centred, precision, centred)
    found = mixture.log_density(features[:50])
    np.testing.assert_allclose(found - found[0], expected - expected[0], atol=0.02)


def test_head_shape_coordinates_follow_the_head():
    track = make_track(1, SIZE)
    shape = head_shape(track.viewmats[0], track.mesh, track.focal, SIZE, SIZE)
    place = project_points(np.array([[0.5, -0.7, -0.4]]), track.viewmats[0], track.focal, SIZE, SIZE)[0]
    column, row = (place - 0.5).round().astype(int)
    assert shape.across[row, column] == pytest.approx(0.5, abs=0.06)
    assert shape.up[row, column] == pytest.approx(-0.7, abs=0.06)
    assert not (shape.inside & shape.far).any() and shape.inside[SIZE // 2, SIZE // 2]


def test_settings_are_checked():
    with pytest.raises(UserError, match="keyframes"):
        ColorModelSegmenter(keyframes=1)
