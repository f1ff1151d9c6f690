"""Outlines that stay in their place in the picture while the head moves: background that was taken for the head."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from talksplat.preprocess.face_tracker.base import HeadTrack
from talksplat.preprocess.segmentation.head_shape import HEAD, project_points
from talksplat.subject_format.labels import Label

MOVED = 0.06  # dm between two frames, about 4 % of a face's width
TOLD = 0.04  # dm to the wrong outline, from where on a point tells whether it moves
FITS = 0.25  # share of that which the distance to the right outline may be
TELLING = 0.2  # share of the other frames in which a point must be found still
LEAST_FRAMES, LEAST_POINTS = 5, 20


@dataclass
class Outline:
    """Where a head ends and background begins, in one frame."""

    points: Float[np.ndarray, "point 2"]  # pixels, above the chin only: shoulders may keep still
    distance: Float[np.ndarray, "height width"]  # to the nearest of them, pixels
    place: Float[np.ndarray, "3 3"]  # from dm on the head to pixels

    @classmethod
    def of(cls, labels: UInt8[np.ndarray, "height width"], chin: float, place: Float[np.ndarray, "3 3"]) -> Outline:
        """Of a label map; `chin` is the row of the chin."""
        background = cv2.dilate((labels == Label.BACKGROUND).astype(np.uint8), np.ones((3, 3), np.uint8))
        line = ((labels == Label.HEAD) & (background > 0)).astype(np.uint8)
        line[max(int(chin), 0) :] = 0
        return cls(np.argwhere(line)[:, ::-1].astype(float), cv2.distanceTransform(1 - line, cv2.DIST_L2, 5), place)

    @property
    def unit(self) -> float:
        """Pixels in a dm."""
        return float(np.hypot(*self.place[:2, 0]))


def head_place(track: HeadTrack, position: int, width: int, height: int) -> Float[np.ndarray, "3 3"]:
    """From dm on the head to pixels: how the middle of the skull moves, tilts and comes nearer.

    Not how landmarks move: where a head turns or nods, the face goes aside, but the outline hardly.
    """
    middle = np.array(HEAD[0])
    ends = np.array([middle, middle + [0, 1, 0]])
    origin, top = project_points(ends, track.viewmats[position], track.focal, width, height)
    up = (top - origin) / np.linalg.norm(top - origin) * track.focal / track.viewmats[position, 2, 3]
    return np.array([[-up[1], up[0], origin[0]], [up[0], up[1], origin[1]], [0, 0, 1]])


def still_shares(outlines: list[Outline]) -> Float[np.ndarray, " frame"]:
    """Share of each outline that fits other frames' outlines as they are, not as they are when moved with the head.

    Each frame is compared with all in which the head is elsewhere; NaN where those are too few to tell.
    """
    return np.array([_still_share(outline, outlines) for outline in outlines])


def _still_share(own: Outline, outlines: list[Outline]) -> float:
    others = [other for other in outlines if len(other.points) >= LEAST_POINTS and _apart(own, other) > MOVED]
    if len(own.points) < LEAST_POINTS or len(others) < LEAST_FRAMES:
        return float("nan")
    still, moves = np.zeros(len(own.points), int), np.zeros(len(own.points), int)
    for other in others:
        to_other = other.place @ np.linalg.inv(own.place)
        moved = own.points @ to_other[:2, :2].T + to_other[:2, 2]
        height, width = other.distance.shape
        seen = ((moved >= 0) & (moved <= [width - 1, height - 1])).all(1)
        as_still = _look_up(other.distance, own.points) / own.unit
        as_moved = _look_up(other.distance, moved) / own.unit
        still += seen & (as_moved > TOLD) & (as_still < FITS * as_moved)
        moves += seen & (as_still > TOLD) & (as_moved < FITS * as_still)
    return float(((still > 2 * moves) & (still >= TELLING * len(others))).mean())


def _apart(first: Outline, second: Outline) -> float:
    return float(np.hypot(*(first.place - second.place)[:2, 2])) / first.unit


def _look_up(distance: Float[np.ndarray, "height width"], points: Float[np.ndarray, "point 2"]) -> np.ndarray:
    height, width = distance.shape
    columns, rows = np.clip(points.round().astype(int), 0, [width - 1, height - 1]).T
    return distance[rows, columns]
