"""The face mesh of a clip whose head poses are known: landmarks triangulated over the frames."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from talksplat.preprocess.face_tracker.canonical import initialize

KEYFRAMES = 60
DEVIATION = 0.1  # dm by which a point may differ from MediaPipe's own depth where the clip does not show it
NOISE = 1.0 / 512  # of the image width, of a landmark
FLIP = np.diag([1.0, -1.0, -1.0])


def reproject(
    mesh: Float[np.ndarray, "point 3"],
    viewmats: Float[np.ndarray, "frame 4 4"],
    focal: float,
    center: Float[np.ndarray, " 2"],
) -> Float[np.ndarray, "frame point 2"]:
    """Pixels of head-frame points under every pose, with the principal point at `center`."""
    camera = mesh @ viewmats[:, :3, :3].transpose(0, 2, 1) + viewmats[:, None, :3, 3]
    return focal * camera[..., :2] / camera[..., 2:] + center


def mesh_of_poses(
    landmarks: Float[np.ndarray, "frame 478 3"],
    viewmats: Float[np.ndarray, "frame 4 4"],
    focal: float,
    center: Float[np.ndarray, " 2"],
    size: tuple[int, int],
) -> Float[np.ndarray, "478 3"]:
    """Points in the poses' head frame whose projections are nearest to the landmarks (pixels).

    A ridge regression around MediaPipe's own depth, since a head that hardly turns does not show its depth.
    """
    chosen = np.unique(np.linspace(0, len(viewmats) - 1, KEYFRAMES).round().astype(int))
    landmarks, viewmats = landmarks[chosen], viewmats[chosen]
    prior = _prior(landmarks, viewmats, focal, center, size)
    mesh = prior.copy()
    weight = (NOISE * max(size) / DEVIATION) ** 2
    for _ in range(3):
        camera = mesh @ viewmats[:, :3, :3].transpose(0, 2, 1) + viewmats[:, None, :3, 3]
        x, y, z = np.moveaxis(camera, -1, 0)
        by_camera = np.zeros((*z.shape, 2, 3))
        by_camera[..., 0, 0] = by_camera[..., 1, 1] = focal / z
        by_camera[..., 0, 2], by_camera[..., 1, 2] = -focal * x / z**2, -focal * y / z**2
        jacobian = by_camera @ viewmats[:, None, :3, :3]
        residual = landmarks[..., :2] - (focal * camera[..., :2] / camera[..., 2:] + center)
        normal = np.einsum("fpij,fpik->pjk", jacobian, jacobian) + weight * np.eye(3)
        right = np.einsum("fpij,fpi->pj", jacobian, residual) + weight * (prior - mesh)
        mesh = mesh + np.linalg.solve(normal, right[..., None])[..., 0]
    return mesh


def _prior(landmarks, viewmats, focal, center, size) -> Float[np.ndarray, "478 3"]:
    """MediaPipe's mean mesh, seen from the poses: brought to their distance and turned into their head frame."""
    middle = np.array(size) / 2
    shifted = landmarks - np.append(center - middle, 0)
    mesh, rotations, translation = initialize(shifted, focal, *size)
    camera = (mesh @ rotations.transpose(0, 2, 1) + translation[:, None]) @ FLIP
    nearer = float(np.median(viewmats[:, 2, 3] / camera[..., 2].mean(1)))
    head = (nearer * camera - viewmats[:, None, :3, 3]) @ viewmats[:, :3, :3]
    return np.median(head, axis=0)
