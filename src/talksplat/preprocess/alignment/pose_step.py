"""One frame's pose against the surface's look: Gauss-Newton on brightness with robust weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial.transform import Rotation

from talksplat.preprocess.alignment.pixels import Pixels, sample
from talksplat.preprocess.alignment.surface import Camera, by_motion

OUTLIER = 2.0  # deviations from which residuals count linearly
LANDMARK_OUTLIER = 2.0  # pixels at 512


@dataclass
class Look:
    """What the surface points look like in all frames: median brightness, its deviation, and where it is known."""

    value: Float[np.ndarray, " point"]
    deviation: Float[np.ndarray, " point"]
    known: Bool[np.ndarray, " point"]

    @property
    def spread(self) -> float:
        """Mean deviation of the known points, grey levels."""
        return float(self.deviation[self.known].mean())


@dataclass
class Landmarks:
    """Skull landmarks of one frame as a weak hold: mesh points (dm), pixels, and their deviation (pixels)."""

    mesh: Float[np.ndarray, "landmark 3"]
    pixels: Float[np.ndarray, "landmark 2"]
    deviation: float
    unit: float  # pixels at 512


def residuals(
    pixels: Pixels,
    head: Bool[np.ndarray, "height width"],
    look: Look,
    points: Float[np.ndarray, "point 3"],
    viewmat: Float[np.ndarray, "4 4"],
    camera: Camera,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Brightness minus look, robust weights, and the derivative by positions in camera axes [point, 3]."""
    placed, image = camera.place(points, viewmat)
    use = look.known & seen_on_head(placed, image, head, camera)
    residual = sample(pixels.value, image) - look.value
    robust = np.minimum(1, OUTLIER * look.deviation / np.maximum(np.abs(residual), 1e-6))
    weight = use * robust / look.deviation**2
    return residual, weight, by_motion(placed, camera.focal, sample(pixels.dx, image), sample(pixels.dy, image))


def seen_on_head(
    placed: np.ndarray, image: np.ndarray, head: Bool[np.ndarray, "height width"], camera: Camera
) -> Bool[np.ndarray, " point"]:
    """Points that the frame shows on the head."""
    column = image[:, 0].clip(0, camera.width - 1).astype(int)
    row = image[:, 1].clip(0, camera.height - 1).astype(int)
    return camera.seen(placed, image) & head[row, column]


def pose_jacobian(
    points: np.ndarray, viewmat: np.ndarray, derivative: Float[np.ndarray, "point 3"]
) -> Float[np.ndarray, "point 6"]:
    """By a rotation vector applied after the pose's rotation, and by its translation (dm)."""
    return np.concatenate([np.cross(points @ viewmat[:3, :3].T, derivative), derivative], axis=1)


def moved(viewmat: Float[np.ndarray, "4 4"], step: Float[np.ndarray, 6]) -> Float[np.ndarray, "4 4"]:
    """The pose after a step."""
    result = viewmat.copy()
    result[:3, :3] = Rotation.from_rotvec(step[:3]).as_matrix() @ viewmat[:3, :3]
    result[:3, 3] += step[3:]
    return result


def landmark_system(hold: Landmarks, viewmat: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Normal matrix and right-hand side of the landmarks."""
    placed, image = camera.place(hold.mesh, viewmat)
    difference = image - hold.pixels
    distance = np.maximum(np.linalg.norm(difference, axis=1), 1e-6)
    weight = np.minimum(1, LANDMARK_OUTLIER * hold.unit / distance) / hold.deviation**2
    one, zero = np.ones(len(placed)), np.zeros(len(placed))
    normal, right = np.zeros((6, 6)), np.zeros(6)
    for axis, (dx, dy) in enumerate(((one, zero), (zero, one))):
        jacobian = pose_jacobian(hold.mesh, viewmat, by_motion(placed, camera.focal, dx, dy))
        normal += (jacobian * weight[:, None]).T @ jacobian
        right -= (jacobian * weight[:, None]).T @ difference[:, axis]
    return normal, right


def align_pose(
    pixels: Pixels,
    head: Bool[np.ndarray, "height width"],
    look: Look,
    points: Float[np.ndarray, "point 3"],
    viewmat: Float[np.ndarray, "4 4"],
    camera: Camera,
    hold: Landmarks,
    iterations: int = 3,
) -> Float[np.ndarray, "4 4"]:
    """The pose at which the frame looks most like the surface."""
    for _ in range(iterations):
        residual, weight, derivative = residuals(pixels, head, look, points, viewmat, camera)
        jacobian = pose_jacobian(points, viewmat, derivative)
        normal, right = landmark_system(hold, viewmat, camera)
        normal += (jacobian * weight[:, None]).T @ jacobian
        right -= (jacobian * weight[:, None]).T @ residual
        viewmat = moved(viewmat, np.linalg.solve(normal, right))
    return viewmat
