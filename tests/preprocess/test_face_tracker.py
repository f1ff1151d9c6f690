"""Bundle adjustment finds known poses, is not led astray by speech, smooths jitter and refuses nonsense."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from talksplat.errors import UserError
from talksplat.geometry.cameras import intrinsics, project
from talksplat.preprocess.face_tracker.face_regions import rigid_mask
from talksplat.preprocess.face_tracker.mediapipe import MediapipeTracker
from tests.preprocess.face_fixtures import FOCAL, SIZE, landmarks_of, make_track


def angle_errors(found, truth):
    relative = found.viewmats[:, :3, :3].transpose(0, 2, 1) @ truth.viewmats[:, :3, :3]
    return np.degrees(Rotation.from_matrix(relative).magnitude())


def test_recovers_poses_and_mesh_of_a_speaking_head():
    truth = make_track(120)
    found = MediapipeTracker(focal=FOCAL, smoothing_hz=0)(
        truth.frame_ids, landmarks_of(truth, noise=0.5, speech=0.25), SIZE, SIZE
    )
    assert angle_errors(found, truth).mean() < 1.0
    assert np.abs(found.viewmats[:, :2, 3] - truth.viewmats[:, :2, 3]).mean() < 0.03
    assert np.abs(found.viewmats[:, 2, 3] / truth.viewmats[:, 2, 3] - 1).mean() < 0.02
    skull = rigid_mask(truth.mesh)
    difference = (found.mesh - truth.mesh)[skull]  # up to where the centre of a face with a moving jaw is
    assert np.linalg.norm(difference - difference.mean(0), axis=1).mean() < 0.03
    assert found.rigid_error.mean() < 0.9
    assert found.full_error.mean() > found.rigid_error.mean()  # the jaw moved, the skull did not


def test_speech_does_not_nod_the_head():
    truth = make_track(100)
    truth.viewmats[:] = truth.viewmats[:1]
    found = MediapipeTracker(focal=FOCAL)(truth.frame_ids, landmarks_of(truth, noise=0.3, speech=0.3), SIZE, SIZE)
    pitch = Rotation.from_matrix(found.viewmats[:, :3, :3]).as_euler("XYZ", degrees=True)[:, 0]
    assert np.ptp(np.unwrap(pitch, period=360)) < 1.0


def test_viewmats_project_the_mesh_onto_the_landmarks():
    truth = make_track(60)
    landmarks = landmarks_of(truth)
    found = MediapipeTracker(focal=FOCAL, smoothing_hz=0)(truth.frame_ids, landmarks, SIZE, SIZE)
    K = intrinsics(found.focal, SIZE, SIZE)
    pixels, depth = project(torch.tensor(found.mesh)[None], torch.tensor(found.viewmats), K[None])
    assert (depth > 0).all()
    skull = rigid_mask(found.mesh)
    assert np.abs(pixels.numpy() - landmarks[..., :2])[:, skull].mean() < 0.1


def test_smoothing_removes_jitter_but_keeps_nods():
    truth = make_track(150)
    landmarks = landmarks_of(truth, noise=3.0)
    rough, smooth = (
        MediapipeTracker(focal=FOCAL, smoothing_hz=hz)(truth.frame_ids, landmarks, SIZE, SIZE) for hz in (0, 5)
    )
    pitch = {
        name: np.unwrap(Rotation.from_matrix(t.viewmats[:, :3, :3]).as_euler("XYZ", degrees=True)[:, 0], period=360)
        for name, t in (("rough", rough), ("smooth", smooth), ("truth", truth))
    }
    jitter = {name: np.abs(np.diff(values, 2)).mean() for name, values in pitch.items()}
    assert jitter["smooth"] < 0.6 * jitter["rough"]
    assert np.std(pitch["smooth"]) > 0.97 * np.std(pitch["truth"])
    assert angle_errors(smooth, truth).mean() < angle_errors(rough, truth).mean()


def test_gaps_keep_their_numbers():
    truth = make_track(80)
    keep = np.r_[0:30, 41:80]
    found = MediapipeTracker(focal=FOCAL)(keep, landmarks_of(truth)[keep], SIZE, SIZE)
    assert found.frame_ids.tolist() == keep.tolist()
    truth.viewmats = truth.viewmats[keep]
    assert angle_errors(found, truth).max() < 1.0


def test_an_outlier_frame_does_not_spoil_the_others():
    truth = make_track(80)
    landmarks = landmarks_of(truth, noise=0.3)
    landmarks[40, :150, :2] += 60
    found = MediapipeTracker(focal=FOCAL)(truth.frame_ids, landmarks, SIZE, SIZE)
    others = np.abs(np.arange(80) - 40) > 4
    assert angle_errors(found, truth)[others].mean() < 1.3  # nearly all of it the same in all frames: the head's axes
    assert found.rigid_error[40] > 5 * np.median(found.rigid_error)


def test_nonsense_is_refused():
    generator = np.random.default_rng(0)
    landmarks = generator.uniform(0, SIZE, (60, 478, 3)).astype(np.float32)
    with pytest.raises(UserError, match="head track failed"):
        MediapipeTracker()(np.arange(60), landmarks, SIZE, SIZE)


def test_focal_length_is_kept_unless_free():
    truth = make_track(60)
    found = MediapipeTracker(focal=1000.0)(truth.frame_ids, landmarks_of(truth), SIZE, SIZE)
    assert found.focal == pytest.approx(1000.0, abs=0.1)
    with pytest.raises(UserError, match="smoothing_hz"):
        MediapipeTracker(smoothing_hz=20)


def test_landmarks_that_slide_do_not_count_as_rigid():
    truth = make_track(80)
    landmarks = landmarks_of(truth, noise=0.3)
    candidates = np.flatnonzero(rigid_mask(truth.mesh))
    sliding = candidates[::5]
    phase = np.linspace(0, 12, 80)[:, None, None]
    landmarks[:, sliding, :2] += 6 * np.concatenate([np.sin(phase), np.cos(phase)], axis=2)
    found = MediapipeTracker(focal=FOCAL, smoothing_hz=0)(truth.frame_ids, landmarks, SIZE, SIZE)
    assert not found.rigid[sliding].any() and found.rigid[candidates].mean() > 0.5
    assert found.rigid_error.mean() < 0.6
