"""Walls that were taken for the head stay where they are while the head moves."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from talksplat.preprocess.face_tracker.base import HeadTrack
from talksplat.preprocess.segmentation.head_shape import HEAD, ellipsoid_points, project_points
from talksplat.preprocess.still_outline import Outline, head_place, still_shares
from talksplat.subject_format.labels import Label
from tests.preprocess.face_fixtures import make_track

SIZE, CHIN_ROW = 128, 100


def moving_track(reach: float, turn: float = 0.0) -> HeadTrack:
    """A head that goes about by `reach` dm, and turns by `turn` rad about the middle of the skull."""
    track = make_track(12, SIZE)
    time = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    for viewmat, angle in zip(track.viewmats, time):
        yaw = turn * np.sin(angle)
        rotation = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
        viewmat[:3, :3] = np.diag([1.0, -1, -1]) @ rotation
        middle = np.array([reach * np.cos(angle), reach * np.sin(2 * angle), 9.0])
        viewmat[:3, 3] = middle - viewmat[:3, :3] @ HEAD[0]
    return track


def shares(track: HeadTrack, wall: tuple[slice, slice] | None = None) -> np.ndarray:
    """Of masks of a round head, and of a part of the picture that is always head."""
    outlines = []
    for position, viewmat in enumerate(track.viewmats):
        labels = np.zeros((SIZE, SIZE), np.uint8)
        skull = project_points(ellipsoid_points(*HEAD), viewmat, track.focal, SIZE, SIZE).astype(np.float32)
        cv2.fillConvexPoly(labels, np.round(cv2.convexHull(skull)).astype(np.int32), int(Label.HEAD))
        labels[110:] = Label.TORSO
        labels[CHIN_ROW + 1 : 115, 10:118] = Label.HEAD  # shoulders that keep still, wrongly named
        if wall is not None:
            labels[wall] = Label.HEAD
        outlines.append(Outline.of(labels, CHIN_ROW, head_place(track, position, SIZE, SIZE)))
    return still_shares(outlines)


@pytest.mark.parametrize("turn", [0.0, 0.4])
def test_outline_of_a_head_moves_with_it(turn: float):
    assert shares(moving_track(0.25, turn)).max() < 0.05


@pytest.mark.parametrize("wall", [np.s_[40:80, 90:122], np.s_[4:50, 48:80]], ids=["beside", "above"])
def test_wall_that_counts_as_head_stays(wall: tuple[slice, slice]):
    found = shares(moving_track(0.25), wall)
    assert len(found) == 12 and found.min() > 0.1


@pytest.mark.parametrize("turn", [0.0, 0.4])
def test_head_that_hardly_moves_tells_nothing(turn: float):
    assert np.isnan(shares(moving_track(0.01, turn), np.s_[40:80, 90:122])).all()


def test_frames_without_a_head_tell_nothing():
    place = head_place(moving_track(0.25), 0, SIZE, SIZE)
    assert np.isnan(still_shares([Outline.of(np.zeros((SIZE, SIZE), np.uint8), CHIN_ROW, place)] * 8)).all()
