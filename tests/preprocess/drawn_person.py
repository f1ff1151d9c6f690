"""A drawn person in front of a curtain, with true labels."""

from __future__ import annotations

import cv2
import numpy as np

from talksplat.preprocess.face_tracker.face_regions import FACE_OVAL
from talksplat.preprocess.segmentation.base import ClipImages
from talksplat.preprocess.segmentation.head_shape import ellipsoid_points, project_points
from talksplat.subject_format.labels import Label
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


def drawn_clip(long_hair: bool) -> tuple[ClipImages, list[np.ndarray]]:
    """COUNT frames and their labels."""
    generator = np.random.default_rng(0)
    track = make_track(COUNT * 4, SIZE)
    for field in ("frame_ids", "viewmats", "rigid_error", "full_error"):
        setattr(track, field, getattr(track, field)[::4])
    rows = np.linspace(0, 1, SIZE)[:, None, None]
    background = (rows * np.array([60, 90, 60]) + np.array([120, 130, 150]) + np.zeros((SIZE, SIZE, 3))).astype(
        np.uint8
    )
    background[:, 30:50] = (60, 20, 20)  # a curtain
    frames = [draw(track, i, long_hair, background, generator) for i in range(COUNT)]
    landmarks = landmarks_of(track, SIZE)[..., :2]
    return ClipImages(lambda i: frames[i][0], track, landmarks, SIZE, SIZE), [labels for _, labels in frames]
