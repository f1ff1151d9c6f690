"""The surface that is compared between frames: points, which of them are seen, and how their depth is moved."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_matrix, diags
from scipy.sparse.linalg import spsolve
from scipy.spatial import cKDTree

NEIGHBORS = 8
CELL = 6  # pixels at 512 of the coarse depth image that says what is hidden
HIDDEN = 0.35  # dm behind the front
LARGEST_STEP = 0.1  # dm of depth in one round
REACH = 0.1  # dm around a surface point in which other points follow its depth


@dataclass(frozen=True)
class Camera:
    """Pinhole with the principal point in the middle."""

    focal: float  # pixels
    width: int
    height: int

    def place(
        self, points: Float[np.ndarray, "point 3"], viewmat: Float[np.ndarray, "4 4"]
    ) -> tuple[Float[np.ndarray, "point 3"], Float[np.ndarray, "point 2"]]:
        """Points in camera axes (dm) and in the image (pixels)."""
        camera = points @ viewmat[:3, :3].T + viewmat[:3, 3]
        image = self.focal * camera[:, :2] / camera[:, 2:] + np.array([self.width / 2, self.height / 2])
        return camera, image

    def seen(
        self, camera: Float[np.ndarray, "point 3"], image: Float[np.ndarray, "point 2"]
    ) -> Bool[np.ndarray, " point"]:
        """Points inside the frame that no other point hides."""
        cell = CELL * max(self.width, self.height) / 512
        shape = (int(self.height / cell) + 1, int(self.width / cell) + 1)
        inside = ((image > cell) & (image < (self.width - cell, self.height - cell))).all(1)
        column, row = (np.where(inside, image[:, axis] / cell, 0).astype(int) for axis in (0, 1))
        front = np.full(shape, 1e9, np.float32)
        np.minimum.at(front, (row[inside], column[inside]), camera[inside, 2].astype(np.float32))
        front = cv2.erode(front, np.ones((3, 3), np.uint8))
        return inside & (camera[:, 2] < front[row, column] + HIDDEN)


def by_motion(
    camera: Float[np.ndarray, "point 3"], focal: float, dx: Float[np.ndarray, " point"], dy: Float[np.ndarray, " point"]
) -> Float[np.ndarray, "point 3"]:
    """Derivative of brightness by a point's position in camera axes, from the image gradient at its pixel."""
    x, y, depth = camera.T
    return np.stack([dx * focal / depth, dy * focal / depth, -(dx * x + dy * y) * focal / depth**2], axis=1)


def neighbor_laplacian(points: Float[np.ndarray, "point 3"]) -> csr_matrix:
    """Graph Laplacian of the nearest neighbours."""
    near: Int[np.ndarray, "point neighbor"] = cKDTree(points).query(points, NEIGHBORS + 1)[1][:, 1:]
    rows = np.repeat(np.arange(len(points)), NEIGHBORS)
    graph = csr_matrix((np.full(near.size, 0.5 / NEIGHBORS), (rows, near.ravel())), (len(points), len(points)))
    graph = graph + graph.T
    return diags(np.asarray(graph.sum(1)).ravel()) - graph


def smooth_depth_step(
    curvature: Float[np.ndarray, " point"],
    gradient: Float[np.ndarray, " point"],
    laplacian: csr_matrix,
    smoothness: float,
) -> Float[np.ndarray, " point"]:
    """Depth steps (dm) that minimise sum(curvature d^2 / 2 + gradient d) plus the roughness of d."""
    known = curvature > 0
    if not known.any():
        return np.zeros_like(curvature)
    typical = float(np.median(curvature[known]))
    system = diags(curvature + 0.01 * typical) + smoothness * typical * laplacian
    return spsolve(system.tocsc(), -gradient).clip(-LARGEST_STEP, LARGEST_STEP)


def follow_depth(
    points: Float[np.ndarray, "other 3"], before: Float[np.ndarray, "point 3"], moved: Float[np.ndarray, " point"]
) -> Float[np.ndarray, "other 3"]:
    """Points near to the surface points `before` moved in depth as those were, fading out with the distance."""
    distance, near = cKDTree(before).query(points, 5)
    weight = np.exp(-((distance / REACH) ** 2))
    followed = points.copy()
    followed[:, 2] += (moved[near] * weight).sum(1) / (weight.sum(1) + 1e-3)
    return followed
