"""Where head, hair, neck and shoulders can be in a frame, from the head pose alone."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float

from talksplat.preprocess.face_tracker.face_regions import FACE_OVAL

# Ellipsoids in the head frame (dm): centre and radii. The chin is at y = -0.84 and the forehead's top at 0.86.
SURE_HEAD = ((0.0, 0.35, -0.35), (0.72, 0.92, 0.75))  # inside the skull
HEAD = ((0.0, 0.30, -0.45), (0.92, 1.2, 1.0))  # skull and thin hair: the crown lies about 2.3 dm above the chin
BIG_HAIR = ((0.0, 0.30, -0.45), (1.5, 1.55, 1.4))  # any hair
FAR = ((0.0, 0.30, -0.45), (2.0, 1.75, 1.7))  # no hair reaches further, above the shoulders
CHIN_Y, SHOULDER_Y = -0.84, -1.35


@dataclass
class HeadShape:
    """Masks and coordinates of one frame at working resolution."""

    across: Float[np.ndarray, "height width"]  # dm from the head's axis, image-right positive, in the head's roll
    up: Float[np.ndarray, "height width"]  # dm above the head's centre
    inside: Bool[np.ndarray, "height width"]  # sure head: skull and face
    head: Bool[np.ndarray, "height width"]  # a head with little hair
    possible: Bool[np.ndarray, "height width"]  # a person may be here
    far: Bool[np.ndarray, "height width"]  # no person here

    @property
    def above_shoulders(self) -> Float[np.ndarray, "height width"]:
        """dm above where shoulders usually are: measured on four people with short hair, who differ by 0.15 (deviation)."""
        return self.up - (-0.84 - 0.30 * np.maximum(np.abs(self.across) - 0.85, 0))


def ellipsoid_points(center: tuple, radii: tuple, count: int = 300) -> Float[np.ndarray, "count 3"]:
    """Evenly spread points on an ellipsoid (Fibonacci lattice)."""
    index = np.arange(count) + 0.5
    polar, turn = np.arccos(1 - 2 * index / count), np.pi * (1 + 5**0.5) * index
    unit = np.stack([np.cos(turn) * np.sin(polar), np.sin(turn) * np.sin(polar), np.cos(polar)], axis=1)
    return np.array(center) + unit * np.array(radii)


def project_points(
    points: Float[np.ndarray, "point 3"], viewmat: Float[np.ndarray, "4 4"], focal: float, width: int, height: int
) -> Float[np.ndarray, "point 2"]:
    """Pixels of head-frame points."""
    camera = points @ viewmat[:3, :3].T + viewmat[:3, 3]
    return focal * camera[:, :2] / camera[:, 2:] + np.array([width / 2, height / 2])


def _hull(points: np.ndarray, width: int, height: int) -> Bool[np.ndarray, "height width"]:
    mask = np.zeros((height, width), np.uint8)
    hull = cv2.convexHull(points.astype(np.float32))
    cv2.fillConvexPoly(mask, np.round(hull).astype(np.int32), 1)
    return mask > 0


def head_shape(
    viewmat: Float[np.ndarray, "4 4"], mesh: Float[np.ndarray, "478 3"], focal: float, width: int, height: int
) -> HeadShape:
    """Masks for a pose; `focal` in pixels of the working resolution."""

    def place(points):
        return project_points(points, viewmat, focal, width, height)

    def hull_of(ellipsoid):
        return _hull(place(ellipsoid_points(*ellipsoid)), width, height)

    origin, top = place(np.array([[0.0, 0.0, -0.4], [0.0, 1.0, -0.4]]))
    axis = (top - origin) / np.linalg.norm(top - origin)
    rows, columns = np.mgrid[:height, :width].astype(np.float32) + 0.5
    dx, dy = columns - origin[0], rows - origin[1]
    size = focal / viewmat[2, 3]
    across, up = (-dx * axis[1] + dy * axis[0]) / size, (dx * axis[0] + dy * axis[1]) / size
    inside = hull_of(SURE_HEAD) | _hull(place(mesh[list(FACE_OVAL)]), width, height)
    below = ((up < -0.3) & (np.abs(across) < 1.6 - (up + 0.3))) | (up < SHOULDER_Y + 0.15)
    return HeadShape(
        across=across.astype(np.float32),
        up=up.astype(np.float32),
        inside=inside,
        head=hull_of(HEAD),
        possible=hull_of(BIG_HAIR) | below,
        far=~hull_of(FAR) & (up > -0.5),
    )
