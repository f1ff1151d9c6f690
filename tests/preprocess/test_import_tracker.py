"""Poses found elsewhere give the same track as if they had been found here, or an error that says why not."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from talksplat.config import compose, instantiate
from talksplat.errors import UserError
from talksplat.media.face_landmarker import DLIB68
from talksplat.preprocess.clip_plan import ClipPlan
from talksplat.preprocess.face_tracker.imported import ImportTracker
from talksplat.preprocess.face_tracker.posed_mesh import reproject
from talksplat.subject_format.landmarks import format_landmarks
from talksplat.subject_format.track import track_bytes
from talksplat.subject_format.transforms import transforms_json
from tests.preprocess.face_fixtures import SIZE, landmarks_of, make_track

COUNT = 30
IDS = np.arange(COUNT)
# Their head frame is another one: turned, moved, and 1.2 times as large.
ANGLE = 0.15
TURN = np.array([[1, 0, 0], [0, np.cos(ANGLE), -np.sin(ANGLE)], [0, np.sin(ANGLE), np.cos(ANGLE)]])
MOVE, GROW = np.array([0.05, -0.2, 0.3]), 1.2


@pytest.fixture(scope="module")
def truth():
    return make_track(COUNT)


def their_viewmats(track) -> np.ndarray:
    viewmats = track.viewmats.astype(np.float64)
    moved = viewmats.copy()
    moved[:, :3, :3] = viewmats[:, :3, :3] @ TURN
    moved[:, :3, 3] = GROW * (viewmats[:, :3, 3] + viewmats[:, :3, :3] @ MOVE)
    return moved


def write_source(root: Path, track, size: int = SIZE, ids=IDS, track_file: bool = True, lms=None) -> Path:
    """Poses found on frames `size` pixels wide; `lms`: landmarks in their pixels."""
    (root / "ori_imgs").mkdir(parents=True)
    viewmats, focal = their_viewmats(track), track.focal * size / SIZE
    if track_file:
        content = torch.load(io.BytesIO(track_bytes(ids, viewmats, focal, np.zeros((4, 3)), None)), weights_only=True)
        del content["frame_ids"], content["vertices"]
        torch.save(content, root / "track_params.pt")
    for split, rows in (("train", slice(0, 27)), ("val", slice(27, COUNT))):
        text = transforms_json(ids[rows], viewmats[rows], focal, size, size)
        (root / f"transforms_{split}.json").write_text(text)
    for frame_id, points in zip(ids, lms if lms is not None else []):
        (root / "ori_imgs" / f"{frame_id}.lms").write_text(format_landmarks(points[list(DLIB68), :2]))
    return root


def reprojection(track, landmarks) -> float:
    projected = reproject(track.mesh, track.viewmats, track.focal, np.array([SIZE, SIZE]) / 2)
    return float(np.linalg.norm(projected - landmarks[..., :2], axis=-1).mean())


@pytest.mark.parametrize("track_file", [True, False])
def test_same_pictures(truth, tmp_path: Path, track_file: bool):
    """From track_params.pt or the matrices alone; the head frame becomes ours again."""
    landmarks = landmarks_of(truth)
    found = ImportTracker(str(write_source(tmp_path / "s", truth, track_file=track_file)))(IDS, landmarks, SIZE, SIZE)
    np.testing.assert_allclose(found.viewmats, truth.viewmats, atol=0.02)
    np.testing.assert_allclose(found.mesh, truth.mesh, atol=0.02)
    assert found.focal == pytest.approx(truth.focal, rel=1e-6)
    assert reprojection(found, landmarks) < 0.1 and found.rigid_error.max() < 0.2


def test_frames_of_twice_the_size(truth, tmp_path: Path):
    landmarks = landmarks_of(truth)
    noise = np.random.default_rng(0).normal(0, 1, landmarks.shape)
    source = write_source(tmp_path / "s", truth, 2 * SIZE, lms=2 * landmarks + noise)
    found = ImportTracker(str(source))(IDS, landmarks, SIZE, SIZE)
    assert found.focal == pytest.approx(truth.focal, rel=1e-6)  # exactly the ratio of the sizes, not of the landmarks
    np.testing.assert_allclose(found.viewmats, truth.viewmats, atol=0.02)


def test_another_crop_is_fitted_again(truth, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """They tracked a larger picture of which ours shows a part: the point they look through is not our middle."""
    theirs, corner = 640, np.array([90.0, 60.0])  # our crop begins here in theirs; its middle is 26 and 4 pixels off
    track = make_track(COUNT, theirs)
    seen = landmarks_of(track, theirs)
    ours = (seen - np.append(corner, 0)).astype(np.float32)
    track.focal = track.focal * SIZE / theirs  # write_source scales it back
    source = write_source(tmp_path / "s", track, theirs, lms=seen)
    found = ImportTracker(str(source))(IDS, ours, SIZE, SIZE)
    assert found.rigid_error.mean() < 0.6 and "26 pixels off the middle" in caplog.text
    with pytest.raises(
        UserError, match=r"a point 26 pixels off the middle of this crop, which costs .*max_shift_error"
    ):
        ImportTracker(str(source), max_shift_error=0.001)(IDS, ours, SIZE, SIZE)


@pytest.mark.parametrize("landmarks", [True, False])
def test_poses_of_the_whole_video_follow_our_crop(tmp_path: Path, landmarks: bool):
    """A wide video that they tracked at half its size, of which our frames show a square: no landmarks are needed."""
    video, corner = (1200, 640), (290, 60)
    track = make_track(COUNT, 640)
    seen = landmarks_of(track, 640) + np.array([(1200 - 640) / 2, 0, 0])
    track.focal = track.focal * 640 / 1200
    source = write_source(tmp_path / "s", track, 512, lms=(seen / 2) if landmarks else None)
    for path in source.glob("transforms_*.json"):
        content = json.loads(path.read_text())
        path.write_text(json.dumps({**content, "cx": 300.0, "cy": 160.0, "focal_len": 750.0}))
    content = torch.load(source / "track_params.pt", weights_only=True)
    torch.save({**content, "focal": torch.tensor([750.0])}, source / "track_params.pt")
    ours = ((seen - np.array([*corner, 0])) * (SIZE / 560)).astype(np.float32)
    tracker = ImportTracker(str(source))
    if not landmarks:
        with pytest.raises(UserError, match="no .lms files tell"):
            tracker(IDS, ours, SIZE, SIZE)
    tracker.follow(ClipPlan(IDS, (*corner, 560), SIZE, [], [], [], np.ones(len(IDS)), []), video)
    found = tracker(IDS, ours, SIZE, SIZE)
    assert found.focal == pytest.approx(750 * 2 * SIZE / 560)
    assert found.rigid_error.mean() < 0.6  # what is left is the middle, 30 and 20 pixels off


def test_frames_without_a_pose_are_named(truth, tmp_path: Path):
    source = write_source(tmp_path / "s", truth)
    later = np.concatenate([IDS[:-2], [40, 41]])
    with pytest.raises(UserError, match=r"has poses of frames 0-29, but none of frames 40-41 of the video"):
        ImportTracker(str(source))(later, landmarks_of(truth), SIZE, SIZE)


def test_poses_of_another_video_are_refused(truth, tmp_path: Path):
    source = write_source(tmp_path / "s", truth)
    turned = landmarks_of(truth)[::-1].copy()
    with pytest.raises(UserError, match=r"miss the face landmarks by .* are they of this video"):
        ImportTracker(str(source), max_error=2.0)(IDS, turned, SIZE, SIZE)


def test_a_picture_of_another_shape_needs_landmarks(truth, tmp_path: Path):
    source = write_source(tmp_path / "s", truth)
    with pytest.raises(UserError, match=r"found at 512x512, the frames here are 512x300, and no .lms files tell"):
        ImportTracker(str(source))(IDS, landmarks_of(truth), 512, 300)


def test_settings():
    with pytest.raises(UserError, match=r"missing setting face_tracker.source"):
        compose("preprocess", ["video=a.mp4", "subject=b", "face_tracker=import"])
    config = compose("preprocess", ["video=a.mp4", "subject=b", "face_tracker=import", "face_tracker.source=/nowhere"])
    with pytest.raises(UserError, match=r"face_tracker.source=/nowhere has no track_params.pt or"):
        instantiate(config.face_tracker)
