"""A textured wavy sheet seen by a moving camera: poses and depths are known exactly."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from talksplat.errors import UserError
from talksplat.preprocess.alignment.base import NoAlignment
from talksplat.preprocess.alignment.photometric import PhotometricAlignment
from talksplat.preprocess.alignment.pixels import band_pass, sample
from talksplat.preprocess.alignment.surface import Camera, neighbor_laplacian, smooth_depth_step
from talksplat.preprocess.face_tracker.base import HeadTrack
from talksplat.preprocess.segmentation.base import ClipImages

SIZE, FOCAL, FRAMES, DISTANCE = 128, 300.0, 14, 7.0


def height(x, y):
    """Depth of the sheet toward the viewer, dm."""
    return 0.15 * np.sin(2.0 * x) * np.cos(1.5 * y)


def poses() -> np.ndarray:
    rng = np.random.default_rng(0)
    angles = np.stack([rng.uniform(-0.15, 0.15, FRAMES), rng.uniform(-0.25, 0.25, FRAMES), np.zeros(FRAMES)], axis=1)
    viewmats = np.tile(np.eye(4), (FRAMES, 1, 1))
    viewmats[:, :3, :3] = Rotation.from_rotvec(angles).as_matrix() @ np.diag([1.0, -1.0, -1.0])
    viewmats[:, :3, 3] = np.array([0, 0, DISTANCE]) + 0.1 * rng.standard_normal((FRAMES, 3))
    return viewmats


def picture(viewmat: np.ndarray, texture: np.ndarray) -> np.ndarray:
    """What the camera sees of the sheet: each pixel's ray is followed to the surface."""
    v, u = np.mgrid[:SIZE, :SIZE] + 0.5
    rays = np.stack([(u - SIZE / 2) / FOCAL, (v - SIZE / 2) / FOCAL, np.ones_like(u)], axis=-1) @ viewmat[:3, :3]
    origin = -viewmat[:3, :3].T @ viewmat[:3, 3]
    depth = -origin[2] / rays[..., 2]
    for _ in range(20):
        point = origin + depth[..., None] * rays
        depth = depth + (height(point[..., 0], point[..., 1]) - point[..., 2]) / rays[..., 2]
    point = origin + depth[..., None] * rays
    x, y = ((point[..., axis] / 4 + 0.5) * len(texture) for axis in (0, 1))
    grey = cv2.remap(
        texture, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    return np.repeat(grey.round().astype(np.uint8)[..., None], 3, axis=-1)


def off(viewmats: np.ndarray, truth: np.ndarray, points: np.ndarray) -> float:
    """Mean reprojection error in pixels beside the part that all frames share (the frame of reference is free)."""
    camera = Camera(FOCAL, SIZE, SIZE)
    shifts = np.stack([camera.place(points, a)[1] - camera.place(points, b)[1] for a, b in zip(viewmats, truth)])
    return float(np.linalg.norm(shifts - shifts.mean(0), axis=-1).mean())


@pytest.fixture(scope="module")
def scene():
    rng = np.random.default_rng(1)
    texture = cv2.GaussianBlur(rng.uniform(0, 255, (400, 400)).astype(np.float32), (0, 0), 4)
    texture = (texture - texture.mean()) / texture.std() * 40 + 128
    truth = poses()
    images = [picture(viewmat, texture.clip(0, 255)) for viewmat in truth]
    tracked = truth.copy()
    tracked[:, :3, :3] = Rotation.from_rotvec(0.008 * rng.standard_normal((FRAMES, 3))).as_matrix() @ truth[:, :3, :3]
    tracked[:, :3, 3] += 0.02 * rng.standard_normal((FRAMES, 3))
    places = rng.uniform(-0.85, 0.85, (2500, 2))
    points = np.concatenate([places, height(*places.T)[:, None]], axis=1)
    mesh = points[:478].astype(np.float32)
    camera = Camera(FOCAL, SIZE, SIZE)
    seen = np.stack([camera.place(mesh.astype(np.float64), viewmat)[1] for viewmat in truth])
    track = HeadTrack(
        np.arange(FRAMES),
        tracked.astype(np.float32),
        FOCAL,
        mesh,
        np.zeros(FRAMES),
        np.zeros(FRAMES),
        rigid=np.arange(478) % 4 == 0,
    )
    landmarks = (seen + rng.standard_normal((FRAMES, 1, 2))).astype(np.float32)  # a detector that slides
    return ClipImages(images.__getitem__, track, landmarks, SIZE, SIZE), truth, points


def everything(position: int) -> np.ndarray:
    return np.ones((SIZE, SIZE), bool)


def run(clip: ClipImages, points: np.ndarray, **options):
    alignment = PhotometricAlignment(points=2000, **options)
    return alignment(clip, everything, points, lambda items, name, total=None: items, workers=2)


def test_poses_are_found_on_the_pixels_also_those_of_frames_between_keyframes(scene):
    clip, truth, points = scene
    before = off(clip.track.viewmats, truth, points)
    aligned = run(clip, points, keyframes=8)
    assert before > 0.5 and off(aligned.track.viewmats, truth, points) < 0.25 * before
    brightness = aligned.summary["brightness_error"]
    assert brightness["after"] < 0.5 * brightness["before"]
    assert (
        aligned.track.rigid_error.shape == (FRAMES,) and aligned.track.rigid_error.mean() > 0.5
    )  # of a sliding detector


def test_depth_is_found_too(scene):
    clip, truth, points = scene
    wrong = points.copy()
    wrong[:, 2] = 0  # a flat sheet
    aligned = run(clip, wrong)
    found, real = aligned.points[:, 2], points[:, 2]
    inside = (np.abs(points[:, :2]) < 0.7).all(1)
    assert np.corrcoef(found[inside], real[inside])[0, 1] > 0.85
    assert off(aligned.track.viewmats, truth, points) < 0.6 * off(clip.track.viewmats, truth, points)


def test_without_alignment_everything_stays(scene):
    clip, _, points = scene
    aligned = NoAlignment()(clip, everything, points, None)
    assert aligned.track is clip.track and aligned.points is points


def test_light_is_not_compared_and_gradients_are_those_of_the_values():
    columns = np.arange(64, dtype=np.float32)
    image = np.clip(60 + columns + 20 * np.sin(columns / 2), 0, 255).astype(np.uint8)[None].repeat(64, axis=0)
    plain, lit = band_pass(image, 1.0), band_pass(image + 40, 1.0)
    assert np.abs(plain.value - lit.value).max() < 1e-3
    places = np.array([[30.2, 20.0], [35.7, 40.0]])
    step = np.array([0.5, 0.0])
    slope = sample(plain.value, places + step) - sample(plain.value, places - step)
    assert np.allclose(slope, sample(plain.dx, places), atol=0.35)
    assert np.abs(plain.dy).max() < 1e-3


def test_hidden_points_are_not_seen():
    camera = Camera(FOCAL, SIZE, SIZE)
    viewmat = np.diag([1.0, -1.0, -1.0, 1.0])
    viewmat[2, 3] = DISTANCE
    front = np.stack([*np.meshgrid(np.linspace(-1, 1, 60), np.linspace(-1, 1, 60))], axis=-1).reshape(-1, 2)
    points = np.concatenate(
        [np.c_[front, np.full(len(front), 0.5)], [[0.0, 0.0, -0.6], [0.0, 0.0, 0.4], [9.0, 0.0, 0.5]]]
    )
    seen = camera.seen(*camera.place(points, viewmat))
    assert not seen[-3] and seen[-2] and not seen[-1] and seen[: len(front)].mean() > 0.9


def test_depth_steps_are_smooth_where_pixels_say_nothing():
    points = np.c_[np.linspace(0, 1, 50), np.zeros(50), np.zeros(50)]
    curvature, gradient = np.zeros(50), np.zeros(50)
    curvature[:10], gradient[:10] = 1.0, -0.02
    step = smooth_depth_step(curvature, gradient, neighbor_laplacian(points), 5.0)
    assert 0.01 < step[0] < 0.02 and 0 < step[30] < step[5]
    assert np.array_equal(smooth_depth_step(np.zeros(50), gradient, neighbor_laplacian(points), 5.0), np.zeros(50))


def test_settings_out_of_range_are_refused():
    for options in ({"points": 10}, {"keyframes": 1}, {"sigmas": []}, {"landmark_deviation": 0.0}):
        with pytest.raises(UserError, match="alignment"):
            PhotometricAlignment(**options)


def test_without_a_head_in_the_masks_the_poses_stay(scene, caplog):
    clip, _, points = scene
    alignment = PhotometricAlignment(points=1000)
    aligned = alignment(clip, lambda k: np.zeros((SIZE, SIZE), bool), points, lambda items, name, total=None: items)
    assert aligned.track is clip.track and "stay as the face tracker found them" in caplog.text
    with pytest.raises(UserError, match="alignment needs 200 start points"):
        run(clip, points[:50])
