"""The head as a textured surface: where every photo pixel of it lies in space, and the triangles between.

World axes are the head's own (x to the image right, y up, z out of the face; decimetres). The photograph is taken as
seen by a pinhole camera `DISTANCE` away, whose focal length makes `PIXELS_PER_DM` photo pixels of a decimetre there:
the distance between the outer corners of the eyes then is about 0.9 dm.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, Int
from scipy.interpolate import RBFInterpolator
from scipy.spatial import Delaunay

from talksplat.data.sample.portrait import CROP_LEFT, CROP_SIZE, CROP_TOP, TEXTURE_SCALE, Annotation, to_texture
from talksplat.subject_format.labels import Label

PIXELS_PER_DM = 64.0
DISTANCE = 10.0  # dm
FOCAL = PIXELS_PER_DM * DISTANCE  # photo pixels
CENTER = (CROP_LEFT + CROP_SIZE / 2, CROP_TOP + CROP_SIZE / 2)  # principal point
ORIGIN = (225.0, 105.0, 30.0)  # photo pixel and depth (photo pixels) of the world's origin, between the ears
SILHOUETTE_DEPTH = 46.0  # depth of the hair's outline: a little behind the ears
DEEPEST = 52.0  # what lies beyond the outline must not swing out when the head turns
SPACING = 2.6  # photo pixels between vertices
EDGE_SPACING = 0.7  # along the lips
MARGIN = 4.0  # photo pixels that the mesh extends beyond the head's outline; texture alpha is zero there
FLIP = np.array([1.0, -1.0, -1.0])


def reference_translation() -> Float[np.ndarray, 3]:
    """Translation (dm, OpenGL axes) of the head in the photograph."""
    z = DISTANCE + ORIGIN[2] / PIXELS_PER_DM
    return np.array([(ORIGIN[0] - CENTER[0]) / FOCAL * z, -(ORIGIN[1] - CENTER[1]) / FOCAL * z, -z])


def unproject(
    points: Float[np.ndarray, "point 2"], depth: Float[np.ndarray, " point"], rotation: Float[np.ndarray, "3 3"]
) -> Float[np.ndarray, "point 3"]:
    """World points (dm) of photo pixels at `depth` (photo pixels, away from the viewer)."""
    z = DISTANCE + depth / PIXELS_PER_DM
    camera = np.concatenate([(points - CENTER) / FOCAL * z[:, None], z[:, None]], -1)
    return (camera * FLIP - reference_translation()) @ rotation


class DepthField:
    """Smooth depth over the whole head: MediaPipe's in the face, a dome for the hair, flat beyond the outline."""

    def __init__(self, annotation: Annotation):
        landmarks = annotation.landmarks[:468]
        points, depths = [landmarks[::2, :2]], [landmarks[::2, 2]]
        mask = (annotation.labels == Label.HEAD).astype(np.uint8)
        outline = max(cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0], key=len)[::24, 0]
        outline = (outline + 0.5) / TEXTURE_SCALE + (CROP_LEFT, CROP_TOP)
        hair = outline[outline[:, 1] < 122]
        face_center = landmarks[:, :2].mean(0)
        for point in hair:
            # From the edge of the face to the outline the skull bends away; hair lies above the skin.
            toward = point - face_center
            along = (landmarks[:, :2] - face_center) @ toward / np.linalg.norm(toward)
            inner = landmarks[along.argmax()]
            for share in (0.45, 0.75, 1.0, 1.15):
                bend = 1 - np.sqrt(max(1 - share**2, 0))
                points.append([inner[:2] + share * (point - inner[:2])])
                depths.append([inner[2] - 4 + bend * (SILHOUETTE_DEPTH - inner[2] + 4)])
        self._field = RBFInterpolator(np.concatenate(points), np.concatenate(depths), neighbors=60, smoothing=3.0)

    def __call__(self, points: Float[np.ndarray, "point 2"]) -> Float[np.ndarray, " point"]:
        """Depth (photo pixels) at photo pixels."""
        return np.minimum(self._field(points), DEEPEST)


def lip_opening(annotation: Annotation, x: np.ndarray | float) -> tuple[np.ndarray | float, np.ndarray | float]:
    """Rows of the upper and the lower edge of the open mouth at columns `x` (photo pixels)."""
    upper, lower = annotation.upper_lip_edge, annotation.lower_lip_edge
    return np.interp(x, *upper.T), np.interp(x, *lower.T)


def _in_mouth(annotation: Annotation, points: np.ndarray, margin: float) -> np.ndarray:
    upper, lower = lip_opening(annotation, points[:, 0])
    left, right = annotation.upper_lip_edge[[0, -1], 0]
    within = (points[:, 0] > left - margin) & (points[:, 0] < right + margin)
    return within & (points[:, 1] > upper - margin) & (points[:, 1] < lower + margin)


def triangulate(annotation: Annotation) -> tuple[Float[np.ndarray, "vertex 2"], Int[np.ndarray, "triangle 3"]]:
    """Vertices (photo pixels) and triangles of the head, cut open along the edges of the lips."""
    mask = (annotation.labels == Label.HEAD).astype(np.uint8)
    side = int(2 * MARGIN * TEXTURE_SCALE) + 1
    wide = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    rows, columns = np.meshgrid(
        np.arange(CROP_TOP, CROP_TOP + CROP_SIZE, SPACING), np.arange(CROP_LEFT, CROP_LEFT + CROP_SIZE, SPACING)
    )
    columns = columns + np.where(np.arange(columns.shape[1]) % 2, SPACING / 2, 0)  # staggered: even triangles
    grid = np.stack([columns.ravel(), rows.ravel()], -1)
    inside = np.clip(to_texture(grid).astype(int), 0, mask.shape[0] - 1)
    grid = grid[wide[inside[:, 1], inside[:, 0]] > 0]
    grid = grid[~_in_mouth(annotation, grid, 1.0)]
    left, right = annotation.upper_lip_edge[[0, -1], 0]
    x = np.linspace(left, right, int((right - left) / EDGE_SPACING))
    upper, lower = lip_opening(annotation, x)
    edge = np.concatenate([np.stack([x, upper], -1), np.stack([x, np.maximum(lower, upper + 0.02)], -1)])
    vertices = np.concatenate([edge, grid])
    triangles = Delaunay(vertices).simplices
    hole = _in_mouth(annotation, vertices[triangles].mean(1), 0.0)
    longest = np.linalg.norm(vertices[triangles] - vertices[np.roll(triangles, 1, 1)], axis=-1).max(1)
    return vertices, triangles[~hole & (longest < 3 * SPACING)].astype(np.int64)
