"""Motion of the face's surface with the mouth.

A displacement is linear in two signals: `rest + opening * open + rounding * round`. `rest` takes the photograph's
smile to closed, relaxed lips; `open` lowers the jaw; `round` narrows and protrudes the lips. Each is given at the
landmarks of the lower face (photo pixels: right, down, away from the viewer) and carried to the mesh by a thin-plate
spline.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.interpolate import RBFInterpolator

from talksplat.data.sample.annotate import JAW
from talksplat.data.sample.head_mesh import FLIP, PIXELS_PER_DM, lip_opening
from talksplat.data.sample.portrait import Annotation

JAW_DROP = 11.0  # photo pixels (1.7 cm) that the lower lip falls at opening 1
CHIN_SHARE = 0.62  # the chin's share of it
MEETING = 0.40  # where the lips of the photograph meet: 0 at the upper lip, 1 at the lower
UPPER_RAISE = 1.7  # photo pixels that the upper lip rises at opening 1
CORNER_REST = (-4.0, 3.4)  # corners of the mouth, inward and down: less of a smile
CORNER_OPEN = (-1.5, 3.0)
NARROWING = 5.0  # photo pixels that each corner goes inward at rounding 1
PROTRUSION = 4.5  # photo pixels toward the viewer at rounding 1
RIGID_ABOVE = (113.0, 127.0)  # rows between which motion fades out below the eyes

OUTER_UPPER = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
OUTER_LOWER = (146, 91, 181, 84, 17, 314, 405, 321, 375)
JAW_SHARES = (0, 0, 0.05, 0.14, 0.25, 0.36, 0.45, 0.52, 0.58, 0.62)  # from the ear toward the chin, of JAW_DROP
STILL = (1, 2, 98, 327, 49, 279, 50, 280, 36, 266, 101, 330, 116, 345, 117, 346, 123, 352, 147, 376, 6, 197, 195, 5)
CHEEKS = {187: (0, 0.0), 411: (0, 0.0), 207: (0.35, 0.1), 427: (0.35, 0.1), 205: (0, 0), 425: (0, 0)}


class MouthMotion:
    """Displacement fields of the mouth over photo pixels."""

    def __init__(self, annotation: Annotation):
        self._annotation = annotation
        corners = annotation.upper_lip_edge[[0, -1]]
        self._center, self._half = corners.mean(0), (corners[1, 0] - corners[0, 0]) / 2
        axis = (corners[1] - corners[0]) / np.linalg.norm(corners[1] - corners[0])
        self._axes = np.stack([axis, (-axis[1], axis[0])])  # rows: along the mouth, down
        points, values = self._controls()
        self._field = RBFInterpolator(points, values, kernel="thin_plate_spline", smoothing=0.05)

    def _across(self, points: np.ndarray) -> np.ndarray:
        """-1 at the left corner of the mouth, 1 at the right one."""
        return (points[:, 0] - self._center[0]) / self._half

    def _lip(self, across, gap, upper: bool, lift: float, open_share: float, rest_share: float) -> np.ndarray:
        """Control values [point, 9] = (rest, open, round) x (right, down, away) at lip points."""
        t = np.clip(across, -1.15, 1.15)
        arch = np.clip(1 - t**2, 0, None) ** 0.75
        corner, side = np.abs(t) ** 3, np.sign(t)
        rest = np.zeros((len(t), 3))
        rest[:, 0] = CORNER_REST[0] * corner * side
        rest[:, 1] = rest_share * gap * (MEETING if upper else MEETING - 1) + CORNER_REST[1] * t**2
        opened = np.zeros((len(t), 3))
        opened[:, 0] = CORNER_OPEN[0] * corner * side
        drop = -UPPER_RAISE if upper else JAW_DROP
        opened[:, 1] = open_share * drop * arch + CORNER_OPEN[1] * corner
        opened[:, 2] = 0 if upper else 0.25 * open_share * drop * arch
        rounded = np.stack([-NARROWING * t, lift * arch, -PROTRUSION * (1 - 0.4 * np.abs(t))], -1)
        return np.concatenate([rest, opened, rounded], -1)

    def _controls(self) -> tuple[np.ndarray, np.ndarray]:
        landmarks = self._annotation.landmarks[:, :2]
        x = np.linspace(*self._annotation.upper_lip_edge[[0, -1], 0], 25)
        upper, lower = lip_opening(self._annotation, x)
        points, values = [], []

        def add(at, value):
            points.append(np.atleast_2d(at))
            values.append(value)

        def gap(at):
            rows = lip_opening(self._annotation, at[:, 0])
            return np.clip(rows[1] - rows[0], 0, None)

        edge_upper, edge_lower = np.stack([x, upper], -1), np.stack([x, lower], -1)[1:-1]
        add(edge_upper, self._lip(self._across(edge_upper), gap(edge_upper), True, 0.0, 1.0, 1.0))
        # The lower lip goes a little above the meeting line, so that closed lips leave no gap.
        add(edge_lower, self._lip(self._across(edge_lower), gap(edge_lower) * 1.12, False, 0.0, 1.0, 1.0))
        outer = landmarks[list(OUTER_UPPER)]
        add(outer, self._lip(self._across(outer), gap(outer), True, -0.8, 0.6, 0.55))
        outer = landmarks[list(OUTER_LOWER)]
        add(outer, self._lip(self._across(outer), gap(outer), False, 1.0, 0.93, 0.62))
        self._add_chin(add, landmarks)
        still = landmarks[list(STILL)]
        add(still, np.zeros((len(still), 9)))
        return np.concatenate(points), np.concatenate(values)

    def _add_chin(self, add, landmarks: np.ndarray) -> None:
        def value(open_share, rest, rounding):
            drop = open_share * JAW_DROP
            return np.array([[0, rest, 0, 0, drop, 0.25 * drop, 0, rounding, -0.3 * PROTRUSION * rounding]])

        for index, (share, rounding) in CHEEKS.items():
            add(landmarks[index], value(share * 0.4, 0.0, rounding))
        for index in (18, 83, 313):
            add(landmarks[index], value(0.82, -1.9, 0.8))
        for index in (200, 201, 421):
            add(landmarks[index], value(0.70, -1.4, 0.4))
        for index in (199, 208, 428):
            add(landmarks[index], value(0.64, -1.0, 0.1))
        middle = self._center
        shares = (*JAW_SHARES, CHIN_SHARE, *JAW_SHARES[::-1])
        for index, share in zip(JAW, shares):
            outward = landmarks[index] - middle
            for factor in (1.0, 1.25):  # the mesh extends beyond the outline and must move with it
                add(middle + factor * outward, value(share, -share * 1.5, 0.0))

    def __call__(
        self, points: Float[np.ndarray, "vertex 2"], rotation: Float[np.ndarray, "3 3"]
    ) -> Float[np.ndarray, "3 vertex 3"]:
        """World displacements (dm) of photo pixels for (rest, open, round)."""
        values = self._field(points).reshape(-1, 3, 3)
        low, high = RIGID_ABOVE
        fade = np.clip((points[:, 1] - low) / (high - low), 0, 1)
        values = values * (fade**2 * (3 - 2 * fade))[:, None, None]
        image = values[..., :1] * self._axes[0] + values[..., 1:2] * self._axes[1]
        camera = np.concatenate([image, values[..., 2:]], -1) * FLIP / PIXELS_PER_DM
        return np.moveaxis(camera @ rotation, 1, 0)
