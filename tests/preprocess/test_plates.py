"""The plate shows what some frame shows; holes are continued from their sides; the torso goes on under the head."""

from __future__ import annotations

import cv2
import numpy as np

from talksplat.preprocess.plates import background_plate, fill_hole, fill_smoothly
from talksplat.preprocess.torso_plate import torso_edge, torso_image
from talksplat.subject_format.labels import Label


def scene(size: int = 96) -> np.ndarray:
    rows = np.arange(size)[:, None] * np.ones(size)
    return np.stack([rows * 2, 200 - rows, np.full((size, size), 90.0)], -1).astype(np.uint8)


def test_what_a_moving_head_uncovers_is_found():
    background, frames = scene(), []
    for left in (10, 30, 50):
        image, labels = background.copy(), np.zeros((96, 96), np.uint8)
        image[20:, left : left + 30], labels[20:, left : left + 30] = (250, 0, 250), Label.HEAD
        frames.append((image, labels))
    plate, hole = background_plate(frames)
    assert not hole[:, :38].any() and hole.mean() < 0.02
    assert np.abs(plate.astype(int) - background)[~hole].max() == 0


def test_level_structures_go_on_behind_the_head():
    background = scene().astype(np.float32)
    background[40:48] = 5.0  # a dark bar across the picture
    known = np.ones((96, 96), bool)
    known[10:, 30:66] = False
    filled = fill_hole(np.where(known[..., None], background, 128.0), known)
    assert np.array_equal(filled[known], background[known])
    assert filled[43:45, 33:36].mean() < 40  # the bar, near the edge of the hole
    assert np.abs(filled - background)[~known].mean() < 15


def test_rows_whose_ends_differ_make_no_streaks():
    generator = np.random.default_rng(0)
    background = np.full((96, 96, 3), 200.0, np.float32)
    background[:, :30] = generator.integers(0, 256, (96, 1, 1))  # twigs before a window, on one side only
    known = np.ones((96, 96), bool)
    known[:, 30:66] = False
    filled = fill_hole(np.where(known[..., None], background, 128.0), known)
    middle = filled[10:-10, 45:55].mean((1, 2))
    assert np.abs(np.diff(middle)).mean() < 5 and 110 < middle.mean() < 210


def test_smooth_fill_stays_between_its_borders():
    image = np.zeros((40, 60, 3), np.float32)
    image[:, :20], image[:, 40:] = 50.0, 150.0
    known = np.ones((40, 60), bool)
    known[:, 20:40] = False
    filled = fill_smoothly(image, known)
    middle = filled[20, 20:40, 0]
    assert (np.diff(middle) > -1).all() and 55 < middle[10] < 145
    assert np.all(fill_smoothly(image, np.zeros((40, 60), bool)) == 127.5)


def test_torso_continues_upward_under_the_head_only():
    labels = np.zeros((128, 128), np.uint8)
    labels[20:80, 40:90], labels[80:110, 55:75], labels[110:, 20:110] = Label.HEAD, Label.NECK, Label.TORSO
    image = np.full((128, 128, 3), 30, np.uint8)
    image[labels == Label.NECK], image[labels == Label.TORSO] = (200, 150, 120), (20, 40, 160)
    torso = torso_image(image, labels, reach=0.1)
    alpha = torso[..., 3] > 0
    assert set(np.unique(torso[..., 3])) == {0, 255} and (torso[~alpha] == 0).all()
    visible = (labels == Label.NECK) | (labels == Label.TORSO)
    assert alpha[visible].all() and (torso[visible][:, :3] == image[visible]).all()
    extra = alpha & ~visible
    assert (labels[extra] == Label.HEAD).all()
    assert alpha[70:80, 60:70].all() and not alpha[:66].any()
    under = torso[79, 60:70, :3].astype(int)
    assert np.abs(under - [200, 150, 120]).max() < 20 and torso[68, 65, 0] < under[:, 0].mean()


def test_ragged_tips_make_no_spikes_under_the_hair():
    labels = np.full((128, 128), Label.HEAD, np.uint8)
    labels[110:] = Label.TORSO
    image = np.full((128, 128, 3), 30, np.uint8)
    image[labels == Label.TORSO] = (20, 40, 160)
    for column in range(20, 110, 10):  # strands of hair over the cloth
        labels[104:110, column : column + 4] = Label.TORSO
        image[104:110, column : column + 4] = (20, 40, 160)
    hidden = (torso_image(image, labels, reach=0.4)[..., 3] > 0) & (labels == Label.HEAD)
    tops = 128 - (hidden | (labels == Label.TORSO)).sum(0)
    assert np.ptp(tops[24:104]) <= 2, "the continuation's edge is even although the cloth's is not"
    assert np.abs(torso_image(image, labels, reach=0.4)[hidden][:, :3].astype(int) - [20, 40, 160]).max() < 40, (
        "darker, but cloth"
    )


def test_the_continuation_meets_the_neck_without_a_step():
    labels = np.zeros((128, 128), np.uint8)
    labels[20:80, 40:90], labels[80:, 50:80] = Label.HEAD, Label.NECK
    rows = np.arange(128)[:, None, None]
    image = np.broadcast_to(np.clip(60 + rows, 0, 255), (128, 128, 3)).astype(np.uint8)
    torso = torso_image(image, labels)[..., :3].astype(int)
    assert np.abs(np.diff(torso[70:90, 55:75, 0], axis=0)).max() <= 4


def test_a_neck_cut_in_two_by_the_chin_is_closed():
    labels = np.zeros((128, 128), np.uint8)
    labels[20:128, 40:90] = Label.HEAD
    labels[100:, 45:60] = labels[105:, 66:80] = Label.NECK
    image = np.full((128, 128, 3), 30, np.uint8)
    image[labels == Label.NECK] = (200, 150, 120)
    torso = torso_image(image, labels, reach=0.1)
    assert (torso[100:, 45:80, 3] == 255).all()
    assert np.abs(torso[110:, 60:66, :3].astype(int) - [200, 150, 120]).max() < 20
    assert not torso[110:, 82:, 3].any()


def test_no_torso_is_a_transparent_image():
    assert not torso_image(scene(), np.full((96, 96), Label.HEAD, np.uint8)).any()


COAT, WALL = (25, 28, 40), (205, 200, 190)


def coat_before_a_wall(short: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A frame of 512 pixels with a blurred, noisy outline, labels whose torso ends `short` pixels inside the coat, and the plate."""
    torso = np.zeros((512, 512), np.uint8)
    cv2.fillConvexPoly(torso, np.array([[40, 511], [120, 380], [400, 360], [480, 511]]), 1)
    head = np.zeros_like(torso)
    cv2.ellipse(head, (260, 220), (90, 120), 0, 0, 360, 1, -1)
    cover = cv2.GaussianBlur(torso.astype(np.float32), (0, 0), 0.8)[..., None]
    plate = np.full((512, 512, 3), WALL, np.uint8)
    image = cover * np.array(COAT) + (1 - cover) * plate
    image[head > 0] = (180, 130, 110)
    image += np.random.default_rng(0).normal(0, 2, image.shape)
    labels = np.where(cv2.erode(torso, np.ones((2 * short + 1,) * 2, np.uint8)) > 0, Label.TORSO, Label.BACKGROUND)
    labels[-short - 1 :] = labels[-short - 2]  # erosion took the border of the picture
    labels[head > 0] = Label.HEAD
    return np.clip(image, 0, 255).round().astype(np.uint8), labels.astype(np.uint8), plate


def behind_the_head(image: np.ndarray, labels: np.ndarray, plate: np.ndarray, edge: np.ndarray | None) -> np.ndarray:
    """Torso over plate."""
    torso = torso_image(image, labels, edge=edge)
    return np.where(torso[..., 3:] > 0, torso[..., :3], plate).astype(int)


def test_a_coat_goes_up_to_its_edge_although_its_label_ends_inside_it():
    image, labels, plate = coat_before_a_wall(short=2)
    below = labels == Label.TORSO
    edge, outside = torso_edge(image, labels, plate), labels != Label.HEAD
    assert edge.any() and (labels[edge] == Label.BACKGROUND).all()
    assert cv2.distanceTransform((~below).astype(np.uint8), cv2.DIST_L2, 5)[edge].max() <= 5
    without, composed = (behind_the_head(image, labels, plate, e) for e in (None, edge))
    assert np.abs(without - image)[outside].max() > 150, "the wall showed inside the coat"
    assert np.abs(composed - image)[outside].max() <= 70, "what is left is the faint end of the blur"
    assert np.abs(composed - image)[outside & (image.max(-1) < 100)].max() <= 12
    np.testing.assert_array_equal(composed[labels == Label.HEAD], without[labels == Label.HEAD])


def test_what_the_plate_explains_stays_plate():
    image, labels, plate = coat_before_a_wall(short=2)
    wall = np.random.default_rng(1).normal(plate, 3).clip(0, 255).round().astype(np.uint8)
    image = np.where((labels == Label.BACKGROUND)[..., None], wall, image)
    edge = torso_edge(image, labels, plate)
    assert not edge.any()
    np.testing.assert_array_equal(torso_image(image, labels, edge=edge), torso_image(image, labels))


def test_the_edge_takes_neither_hair_nor_what_does_not_touch_the_torso():
    labels = np.zeros((512, 512), np.uint8)
    labels[100:300, 100:300], labels[304:, :] = Label.HEAD, Label.TORSO
    plate = np.full((512, 512, 3), 200, np.uint8)
    image = np.where(labels[..., None] > 0, np.uint8(40), plate)
    image[300:304, 120:280] = 60  # hair between the head and the torso
    image[299:302, 400:450] = 60  # a thing on the wall; between it and the torso the wall
    edge = torso_edge(image, labels, plate)
    assert not edge[:302].any() and edge[303, 125:275].all()
    assert not edge[:, 400:].any()
