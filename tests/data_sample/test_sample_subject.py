"""The sample subject: true perspective, exact compositing, known motion, and a trustworthy measure of the mouth."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from talksplat.data.sample import SampleSubject
from talksplat.errors import UserError
from talksplat.geometry.cameras import viewmat_from_euler_trans
from talksplat.subject_format.labels import Label

SIZE = 128
NO_BLINK = 0.0


@pytest.fixture(scope="module")
def subject() -> SampleSubject:
    return SampleSubject(SIZE)


def pose(subject: SampleSubject, yaw: float = 0.0, pitch: float = 0.0, shift: float = 0.0) -> np.ndarray:
    euler, trans = subject.euler_trans
    euler = torch.from_numpy(euler + np.radians([pitch, yaw, 0.0]))
    trans = torch.from_numpy(trans + [shift, 0.0, 0.0])
    return viewmat_from_euler_trans(euler[None], trans[None])[0].numpy()


def composite(frame, plate: np.ndarray) -> np.ndarray:
    return np.where(frame.torso_rgba[..., 3:] > 0, frame.torso_rgba[..., :3], plate)


def moved(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.abs(a.astype(int) - b).max(-1) > 0


def test_same_arguments_draw_the_same_frame(subject):
    first = subject.render(0.4, 0.3, 0.5, pose(subject, 3))
    again = SampleSubject(SIZE).render(0.4, 0.3, 0.5, pose(subject, 3))
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.labels, again.labels)


@pytest.mark.parametrize(("opening", "yaw", "pitch"), [(0.0, 0, 0), (1.0, 6, 4), (0.6, -6, -4)])
def test_pixels_outside_the_head_are_exactly_the_plate(subject, opening, yaw, pitch):
    frame = subject.render(opening, 0.5, 1.0, pose(subject, yaw, pitch))
    outside = frame.labels != Label.HEAD
    assert np.array_equal(frame.image[outside], composite(frame, subject.background)[outside])
    assert {Label.BACKGROUND, Label.HEAD, Label.NECK, Label.TORSO} == {
        Label(label) for label in np.unique(frame.labels)
    }
    assert set(np.unique(frame.torso_rgba[..., 3])) == {0, 255}


def test_the_head_follows_the_pose_as_a_rigid_body(subject):
    # The rigid landmarks of the picture at one pose, lifted to the surface, must land on those of the other picture:
    # an image feature (the eyes, which are dark) is looked for at both places.
    for yaw, pitch, shift in ((6, 0, 0), (-6, 3, 0), (0, -4, 0.1)):
        here, there = pose(subject), pose(subject, yaw, pitch, shift)
        first, second = subject.render(0.2, 0.3, NO_BLINK, here), subject.render(0.2, 0.3, NO_BLINK, there)
        for eye in (slice(36, 42), slice(42, 48)):
            at, to = first.landmarks68[eye].mean(0), second.landmarks68[eye].mean(0)
            patch = cv2.getRectSubPix(first.image, (15, 9), tuple(at - 0.5))
            corner = np.round(to).astype(int) - (14, 10)
            area = second.image[corner[1] : corner[1] + 21, corner[0] : corner[0] + 29]
            found = cv2.minMaxLoc(cv2.matchTemplate(area, patch, cv2.TM_CCOEFF_NORMED))[3]
            assert np.abs(corner + np.array(found) + (7.5, 4.5) - to).max() < 1.0


@pytest.mark.assets
def test_a_face_landmarker_finds_the_landmarks(subject):
    model = Path(os.environ.get("TALKSPLAT_ASSETS", "")) / "face_landmarker.task"
    if not model.is_file():
        pytest.skip("no face_landmarker.task in TALKSPLAT_ASSETS")
    from talksplat.media.face_landmarker import FaceLandmarker

    large = SampleSubject(512)
    with FaceLandmarker(model, video=False) as landmarker:
        for opening, yaw, pitch in ((0.1, 0, 0), (0.2, 5, 2), (0.8, -5, -2)):
            frame = large.render(opening, 0.3, NO_BLINK, pose(large, yaw, pitch))
            found = landmarker.detect(frame.image)[0].landmarks68
            assert np.linalg.norm(found - frame.landmarks68, axis=1)[17:48].mean() < 3.0  # brows, nose, eyes
            gaps = [points[66, 1] - points[62, 1] for points in (found, frame.landmarks68)]
            assert gaps[0] == pytest.approx(gaps[1], abs=7.0)


def test_a_blink_changes_the_eyes_only_and_shuts_them(subject):
    viewmat = pose(subject, 2)
    opened, shut = subject.render(0.3, 0.3, 0.0, viewmat), subject.render(0.3, 0.3, 1.0, viewmat)
    rows, columns = np.nonzero(moved(opened.image, shut.image))
    eyes = opened.landmarks68[36:48]
    assert len(rows) > 40
    assert (columns > eyes[:, 0].min() - 4).all() and (columns < eyes[:, 0].max() + 4).all()
    assert (rows > eyes[:, 1].min() - 6).all() and (rows < eyes[:, 1].max() + 4).all()
    center = opened.landmarks68[36:42].mean(0).astype(int)
    iris = np.s_[center[1] - 1 : center[1] + 2, center[0] - 1 : center[0] + 2]
    assert shut.image[iris].mean() > opened.image[iris].mean() + 40  # skin instead of a dark iris
    lids = shut.landmarks68[[37, 38]] - shut.landmarks68[[41, 40]]
    assert np.abs(lids).max() < 0.5


def test_the_mouth_moves_the_lower_face_only(subject):
    viewmat = pose(subject)
    shut, wide = subject.render(0.0, 0.3, 0.0, viewmat), subject.render(1.0, 0.3, 0.0, viewmat)
    rows, _ = np.nonzero(moved(shut.image, wide.image))
    assert rows.min() > shut.landmarks68[36:48, 1].max() + 2
    gap = [frame.landmarks68[66, 1] - frame.landmarks68[62, 1] for frame in (shut, wide)]
    assert abs(gap[0]) < 0.7 and 4 < gap[1] < 9
    chin = wide.landmarks68[8, 1] - shut.landmarks68[8, 1]
    assert 1.5 < chin < gap[1]


def test_rounding_narrows_the_mouth(subject):
    width = [np.ptp(subject.render(0.4, rounding, 0.0, pose(subject)).landmarks68[48:60, 0]) for rounding in (0.0, 1.0)]
    assert width[1] < 0.85 * width[0]


def test_start_points_cover_the_head_and_have_its_colours(subject):
    points, colors = subject.start_points(4000)
    assert points.shape[1] == 3 and colors.shape == points.shape and colors.dtype == np.uint8
    assert abs(len(points) - 4000) < 10
    viewmat = pose(subject)
    frame = subject.render(0.25, 0.3, 0.0, viewmat)
    camera = points @ viewmat[:3, :3].T + viewmat[:3, 3]
    pixels = (camera @ subject.K.T)[:, :2] / camera[:, 2:]
    column, row = pixels.astype(int).T
    assert (frame.labels[row, column] == Label.HEAD).mean() > 0.99
    covered = np.zeros((SIZE, SIZE), np.uint8)
    covered[row, column] = 1
    covered = cv2.dilate(covered, np.ones((5, 5))) > 0
    assert covered[frame.labels == Label.HEAD].mean() > 0.97
    skin = len(points) - 3 * (240 // 3)
    error = np.abs(frame.image[row, column].astype(int) - colors)[:skin]
    assert np.median(error) < 12
    assert np.array_equal(points, SampleSubject(SIZE).start_points(4000)[0])


@pytest.mark.parametrize("spoil", ["nothing", "blur", "noise"])
def test_measured_opening_follows_the_truth(subject, spoil):
    rng = np.random.default_rng(1)
    truth = np.linspace(0, 1, 12)
    measured = []
    for index, opening in enumerate(rng.permutation(truth)):
        viewmat = pose(subject, 5 * np.sin(index), 3 * np.cos(index))
        image = subject.render(opening, rng.uniform(0.1, 0.7), 0.0, viewmat).image.astype(np.float32) / 255
        if spoil == "blur":
            image = cv2.GaussianBlur(image, (0, 0), 0.8)
        elif spoil == "noise":
            image = np.clip(image + rng.normal(0, 0.04, image.shape).astype(np.float32), 0, 1)
        measured.append((opening, subject.estimate_opening(image, viewmat)))
    opening, estimate = np.array(measured).T
    assert np.corrcoef(opening, estimate)[0, 1] > 0.98
    assert np.abs(opening - estimate).mean() < 0.06


def test_measure_refuses_what_it_cannot_compare(subject):
    with pytest.raises(UserError, match="shape"):
        subject.estimate_opening(np.zeros((64, 64, 3), np.uint8), pose(subject))
    with pytest.raises(UserError, match="outside"):
        subject.estimate_opening(np.zeros((SIZE, SIZE, 3), np.uint8), pose(subject, shift=30.0))


def test_resolution_is_a_setting():
    with pytest.raises(UserError, match="resolution"):
        SampleSubject(16)
    large = SampleSubject(256)
    small = SampleSubject(128)
    reduced = cv2.resize(large.render(0.5, 0.3, 0, pose(large)).image, (128, 128), interpolation=cv2.INTER_AREA)
    assert np.abs(reduced.astype(int) - small.render(0.5, 0.3, 0, pose(small)).image).mean() < 2
