"""Labels of a drawn person: long hair is head, cloth is torso, skin under the jaw is neck; no labels are given."""

from __future__ import annotations

import numpy as np
import pytest

from talksplat.errors import UserError
from talksplat.preprocess.segmentation.filtered import clean, crown_notches
from talksplat.preprocess.segmentation.hair import learn_hair
from talksplat.preprocess.segmentation.head_shape import head_shape, project_points
from talksplat.preprocess.segmentation.keyframes import view_of
from talksplat.preprocess.segmentation.local_mixture import LocalMixture
from talksplat.preprocess.segmentation.segmenter import ColorModelSegmenter
from talksplat.subject_format.labels import Label
from tests.preprocess.drawn_person import COUNT, SIZE, drawn_clip
from tests.preprocess.face_fixtures import make_track


@pytest.fixture(scope="module", params=[True, False], ids=["long hair", "short hair"])
def segmented(request):
    clip, truth = drawn_clip(request.param)
    segmenter = ColorModelSegmenter(keyframes=COUNT, size=SIZE)
    segmenter.fit(clip)
    chosen = (0, 5, 11)
    return request.param, [segmenter(clip, i) for i in chosen], [truth[i] for i in chosen]


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


@pytest.mark.parametrize("rows", [(-1.2, -0.55), (-1.2, 0.6)], ids=["collar", "hair"])
def test_hair_comes_down_without_a_gap(rows):
    clip, truth = drawn_clip(False)
    views, labels = [], []
    for position in range(0, COUNT, 4):
        view, label = view_of(clip, position, SIZE), truth[position].copy()
        dark = (
            (view.shape.across > 0.7)
            & (view.shape.across < 1.2)
            & (view.shape.up > rows[0])
            & (view.shape.up < rows[1])
        )
        view.by_head.reshape(SIZE, SIZE, -1)[dark, :3] = view.by_head[(label == Label.HEAD).ravel().nonzero()[0][0], :3]
        label[dark] = Label.HEAD
        views.append(view)
        labels.append(label)
    assert learn_hair(views, labels).sides == (False, rows[1] > 0)


def test_crown_is_round():
    clip, truth = drawn_clip(False)
    view = view_of(clip, 0, SIZE)
    notch = (np.abs(view.shape.across) < 0.4) & (view.shape.up > 1.0)
    cut = np.where(notch, Label.BACKGROUND, truth[0]).astype(np.uint8)
    lost = notch & (truth[0] == Label.HEAD)
    found = crown_notches(view, cut)
    assert found[lost].mean() > 0.5 and not found[truth[0] == Label.BACKGROUND].any()
    island = cut.copy()
    island[:4, :4] = Label.HEAD  # further away than a notch is wide
    np.testing.assert_array_equal(crown_notches(view, island), found)  # no bridge to it


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
