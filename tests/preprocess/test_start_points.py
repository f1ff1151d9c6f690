"""Start points lie on the face, behind the lips, and inside the head masks of all poses."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from talksplat.preprocess import start_points as sp
from talksplat.preprocess.face_tracker.face_regions import INNER_LIP
from talksplat.preprocess.segmentation.head_shape import ellipsoid_points, project_points
from talksplat.subject_format.labels import Label
from tests.preprocess.face_fixtures import face_mesh, make_track

SIZE = 160
HEAD = ((0.0, 0.25, -0.4), (1.0, 1.15, 0.9))


def masks_of(track, size=SIZE):
    """Silhouettes of an ellipsoid with a lock of hair down the image-left side."""
    masks = np.zeros((len(track.frame_ids), size, size), np.uint8)
    lock = np.array([[x, y, z] for x in (-1.0, -0.7) for y in (-1.3, 0.3) for z in (-0.4, 0.0)])
    for mask, viewmat in zip(masks, track.viewmats):
        for points in (ellipsoid_points(*HEAD), lock):
            hull = cv2.convexHull(project_points(points, viewmat, track.focal, size, size).astype(np.float32))
            cv2.fillConvexPoly(mask, np.round(hull).astype(np.int32), 1)
    return masks > 0


@pytest.fixture(scope="module")
def made():
    track = make_track(30, SIZE)
    masks = masks_of(track)
    labels = np.where(masks, np.uint8(Label.HEAD), np.uint8(Label.BACKGROUND))
    images = np.where(masks[..., None], np.uint8([200, 120, 40]), np.uint8([0, 0, 255]))
    positions = np.arange(0, 30, 2)
    points, colors = sp.start_points(track, positions, images[positions], labels[positions], count=6000)
    return track, positions, masks, points, colors


def test_number_and_colors(made):
    _, _, _, points, colors = made
    assert 5000 <= len(points) == len(colors) <= 6000
    assert np.isfinite(points).all() and colors.dtype == np.uint8
    assert np.abs(colors.astype(int) - [200, 120, 40]).max() <= 1  # never the background's blue


def test_points_that_show_the_background_are_left_out(made):
    track, positions, masks, _, _ = made
    wide = np.stack([cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) for mask in masks])  # masks too wide
    labels = np.where(wide, np.uint8(Label.HEAD), np.uint8(Label.BACKGROUND))
    images = np.where(masks[..., None], np.uint8([200, 120, 40]), np.uint8([0, 0, 255]))
    plate, seen = np.zeros((SIZE, SIZE, 3), np.uint8), ~masks.all(0)
    plate[:] = (0, 0, 255)
    blue = []
    for settings in ({}, {"plate": plate, "seen": seen}, {"plate": np.full_like(plate, (200, 120, 40)), "seen": seen}):
        points, colors = sp.start_points(track, positions, images[positions], labels[positions], 6000, **settings)
        blue.append((colors[:, 2] > 200).mean())
    assert blue[0] > 0.02 and blue[1] < 0.005
    assert blue[2] == blue[0]  # a background like the hair tells nothing


def test_points_project_into_the_head_masks(made):
    track, positions, masks, points, _ = made
    seen, hit = sp.in_masks(points, track, positions, masks[positions])
    assert (seen > 0).all() and (hit / seen > 0.85).mean() > 0.99


def test_crown_and_long_hair_have_points(made):
    _, _, _, points, _ = made
    assert (points[:, 1] > 1.1).sum() > 50  # above the forehead, which ends at 0.86
    assert ((points[:, 1] < -0.9) & (points[:, 0] < -0.6)).sum() > 20  # the lock beside the neck
    assert ((points[:, 1] < -0.9) & (points[:, 0] > 0.6)).sum() == 0  # and none on the other side
    assert points[:, 2].min() > -1.3


def test_nothing_floats_before_the_face(made):
    track, _, _, points, _ = made
    assert points[:, 2].max() <= track.mesh[:, 2].max() + 1e-3


def test_mouth_lies_behind_the_lips():
    mesh = face_mesh()
    mouth = sp.mouth_interior(mesh, 500, np.random.default_rng(0))
    lips = mesh[list(INNER_LIP)]
    assert (mouth[:, 2] < lips[:, 2].mean() - 0.05).all()
    assert mouth[:, 0].min() >= lips[:, 0].min() and mouth[:, 0].max() <= lips[:, 0].max()


def test_surface_samples_are_even_by_area():
    vertices = np.array([[0, 0, 0], [3.0, 0, 0], [0, 1, 0], [3, 1, 0]])
    triangles = np.array([[0, 1, 2], [1, 3, 2]])
    points = sp.sample_surface(vertices, triangles, 4000, np.random.default_rng(0))
    assert (points[:, 2] == 0).all()
    counts, _ = np.histogram(points[:, 0], bins=6, range=(0, 3))
    assert np.abs(counts / counts.mean() - 1).max() < 0.1


def test_triangles_are_mediapipes():
    triangles = sp.face_triangles()
    assert triangles.shape == (852, 3) and triangles.max() == 467
    assert all(len(set(triangle)) == 3 for triangle in triangles.tolist())
