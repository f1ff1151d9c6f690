"""A first mesh and first poses from MediaPipe's own depth: similarity alignment of the frames, and the head's axes."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from talksplat.preprocess.face_tracker import face_regions as regions

PUPIL_DISTANCE = 0.63  # dm, mean of adults (anthropometric surveys give 6.2 to 6.4 cm)


def similarity(
    source: Float[np.ndarray, "frame point 3"],
    target: Float[np.ndarray, "frame point 3"],
    weights: Float[np.ndarray, " point"],
) -> tuple[Float[np.ndarray, " frame"], Float[np.ndarray, "frame 3 3"], Float[np.ndarray, "frame 3"]]:
    """Scale s, rotation R, translation t of each frame with s R source + t nearest to target (Umeyama 1991)."""
    weights = weights / weights.sum()
    source_mean = np.einsum("n,fnc->fc", weights, source)
    target_mean = np.einsum("n,fnc->fc", weights, target)
    source, target = source - source_mean[:, None], target - target_mean[:, None]
    covariance = np.einsum("n,fni,fnj->fij", weights, target, source)
    u, singular, vt = np.linalg.svd(covariance)
    signs = np.ones((len(source), 3))
    signs[:, 2] = np.sign(np.linalg.det(u @ vt))
    rotation = (u * signs[:, None]) @ vt
    scale = (singular * signs).sum(-1) / np.einsum("n,fni->f", weights, source**2)
    translation = target_mean - scale[:, None] * np.einsum("fij,fj->fi", rotation, source_mean)
    return scale, rotation, translation


def head_axes(mesh: Float[np.ndarray, "478 3"]) -> Float[np.ndarray, "3 3"]:
    """Rotation that takes `mesh` (any orientation within 90 degrees of upright and frontal) to the head's axes.

    x from the right to the left eye; y in the plane of symmetry along the line from chin to forehead, which stands upright
    in a frontal face; z out of the face.
    """
    x = mesh[regions.LEFT_EYE_OUTER] - mesh[regions.RIGHT_EYE_OUTER]
    x = x / np.linalg.norm(x)
    up = mesh[regions.FOREHEAD] - mesh[regions.CHIN]
    y = up - (up @ x) * x
    y = y / np.linalg.norm(y)
    return np.stack([x, y, np.cross(x, y)])


def canonicalize(mesh: Float[np.ndarray, "478 3"]) -> tuple[float, np.ndarray, np.ndarray]:
    """Scale s, rotation R, offset o so that s R mesh + o is in dm, upright, centred on the face's outline.

    The outline runs in front of the ears, so its centre lies well inside the head.
    """
    rotation = head_axes(mesh)
    scale = PUPIL_DISTANCE / np.linalg.norm(mesh[regions.LEFT_PUPIL] - mesh[regions.RIGHT_PUPIL])
    turned = scale * mesh @ rotation.T
    return scale, rotation, -turned[list(regions.FACE_OVAL)].mean(0)


def initialize(
    landmarks: Float[np.ndarray, "frame 478 3"], focal: float, width: int, height: int, rounds: int = 4
) -> tuple[Float[np.ndarray, "478 3"], Float[np.ndarray, "frame 3 3"], Float[np.ndarray, "frame 3"]]:
    """Mean canonical mesh (dm) and poses (OpenGL axes: z toward the viewer) under weak perspective.

    Args:
        landmarks: pixels; z in pixels, smaller is nearer to the viewer.
        focal: pixels; gives the distance from the size in the image.
    """
    points = landmarks.astype(np.float64) * np.array([1.0, -1.0, -1.0])
    mesh = points[len(points) // 2]
    weights = np.ones(landmarks.shape[1])
    for _ in range(rounds):
        scale, rotation, offset = canonicalize(mesh)
        mesh = scale * mesh @ rotation.T + offset
        weights = np.maximum(regions.pose_weights(mesh), 1e-3)
        size, rotations, shift = similarity(np.broadcast_to(mesh, points.shape), points, weights)
        aligned = np.einsum("fji,fnj->fni", rotations, points - shift[:, None]) / size[:, None, None]
        mesh = np.median(aligned, axis=0)
    depth = focal / size
    centre = shift[:, :2] - np.array([width / 2, -height / 2])
    translation = np.concatenate([centre / size[:, None], -depth[:, None]], axis=1)
    return mesh, rotations, translation
