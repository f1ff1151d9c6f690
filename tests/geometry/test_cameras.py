"""Cameras against the tracker's own formulas (GaussianTalker)."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from talksplat.geometry.cameras import (
    camera_centers,
    euler_trans_from_viewmat,
    intrinsics,
    project,
    viewmat_from_euler_trans,
)

WIDTH, HEIGHT, FOCAL = 512, 450, 1200.0


def poses(count: int = 20) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(0)
    euler = torch.from_numpy(rng.uniform(-1.2, 1.2, (count, 3)))
    trans = torch.from_numpy(rng.uniform((-1, -1, -20), (1, 1, -7), (count, 3)))
    return euler, trans


def test_projection_equals_the_trackers_formula():
    """X_c = R X + t with R = Rx(a) Ry(b) Rz(-c); x = -f X/Z + cx, y = f Y/Z + cy, Z negative in front."""
    euler, trans = poses()
    points = torch.from_numpy(np.random.default_rng(1).uniform(-1, 1, (30, 3)))
    viewmats = viewmat_from_euler_trans(euler, trans)
    K = intrinsics(FOCAL, WIDTH, HEIGHT).double()
    pixels, depths = project(points, viewmats, K)
    for i, (angles, t) in enumerate(zip(euler.numpy(), trans.numpy())):
        rotation = Rotation.from_euler("XYZ", angles * [1, 1, -1]).as_matrix()  # upper case: Rx @ Ry @ Rz
        x, y, z = (points.numpy() @ rotation.T + t).T
        np.testing.assert_allclose(pixels[i, :, 0], -FOCAL * x / z + WIDTH / 2, atol=1e-8)
        np.testing.assert_allclose(pixels[i, :, 1], FOCAL * y / z + HEIGHT / 2, atol=1e-8)
        np.testing.assert_allclose(depths[i], -z, atol=1e-10)


def test_a_point_up_and_to_the_viewers_right_lands_there():
    viewmat = viewmat_from_euler_trans(torch.zeros(1, 3), torch.tensor([[0.0, 0.0, -10.0]]))[0]
    pixels, depth = project(torch.tensor([[0.5, 0.25, 1.0]]), viewmat, intrinsics(900.0, WIDTH, HEIGHT))
    np.testing.assert_allclose(pixels.numpy(), [[256 + 50, 225 - 25]], atol=1e-4)
    np.testing.assert_allclose(depth.numpy(), [9.0], atol=1e-6)


def test_euler_angles_and_viewmats_round_trip():
    euler, trans = poses()
    viewmats = viewmat_from_euler_trans(euler, trans)
    found_euler, found_trans = euler_trans_from_viewmat(viewmats)
    np.testing.assert_allclose(found_euler, euler, atol=1e-10)
    np.testing.assert_allclose(found_trans, trans, atol=1e-10)
    np.testing.assert_allclose(torch.linalg.det(viewmats[:, :3, :3]), np.ones(len(euler)), atol=1e-12)


def test_camera_centers_map_to_the_origin_of_the_camera():
    viewmats = viewmat_from_euler_trans(*poses())
    centers = camera_centers(viewmats)
    inside = (viewmats[:, :3, :3] @ centers[..., None]).squeeze(-1) + viewmats[:, :3, 3]
    np.testing.assert_allclose(inside, np.zeros_like(inside), atol=1e-10)
