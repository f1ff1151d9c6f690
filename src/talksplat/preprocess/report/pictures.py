"""Pictures of the report: sample frames with what was found in them, and the start points from two sides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from talksplat.preprocess.segmentation.base import ClipImages
from talksplat.preprocess.segmentation.head_shape import project_points
from talksplat.preprocess.start_points import NUM_SKIN, face_triangles
from talksplat.preprocess.steps import spread
from talksplat.preprocess.torso_plate import torso_edge, torso_image
from talksplat.subject_format.labels import Label

COLUMNS, TILE = 5, 320  # frames shown, pixels a side
POINTS_HEIGHT, DOT = 480, 4  # pixels
TINT = np.array([[60, 170, 60], [0, 0, 0], [70, 70, 255], [255, 60, 60]], np.float32)  # background, -, neck, torso
SEEN, TRACKED = (60, 255, 60), (255, 40, 40)
ROWS = {
    "landmarks": "landmarks: detected green, tracked red",
    "mesh": "tracked mesh",
    "masks": "masks: head as it is, neck blue, torso red, background green",
    "behind": "what is painted behind the head",
}


@dataclass(frozen=True)
class Pictures:
    """RGB uint8 images."""

    frame_ids: list[int]
    rows: dict[str, list[UInt8[np.ndarray, "tile tile 3"]]]  # by the names of `ROWS`, one for each frame
    front: UInt8[np.ndarray, "height width 3"]  # start points
    side: UInt8[np.ndarray, "height width 3"]


def chosen_positions(count: int) -> list[int]:
    """Frames that the report shows, spread evenly."""
    return [int(position) for position in spread(count, COLUMNS)]


def take_pictures(
    clip: ClipImages,
    label: Callable[[int], UInt8[np.ndarray, "height width"]],
    plate: UInt8[np.ndarray, "height width 3"],
    points: Float[np.ndarray, "point 3"],
    colors: UInt8[np.ndarray, "point 3"],
) -> Pictures:
    """Tiles of a few frames; `label` gives the `Label` values of a frame by its position."""
    positions = chosen_positions(len(clip))
    rows: dict[str, list] = {name: [] for name in ROWS}
    for position in positions:
        image, labels = clip.load(position), label(position)
        rows["landmarks"].append(_landmarks(image, clip, position))
        rows["mesh"].append(_mesh(image, clip, position))
        rows["masks"].append(_tile(_masks(image, labels)))
        torso = torso_image(image, labels, edge=torso_edge(image, labels, plate))
        rows["behind"].append(_tile(np.where(torso[..., 3:] > 0, torso[..., :3], plate)))
    front, side = (_seen_from(points, colors, across, toward) for across, toward in ((0, 2), (2, 0)))
    return Pictures([int(clip.track.frame_ids[position]) for position in positions], rows, front, side)


def montage(rows: Sequence[Sequence[np.ndarray]]) -> UInt8[np.ndarray, "height width 3"]:
    """Tiles of equal size in rows."""
    return np.concatenate([np.concatenate(list(row), axis=1) for row in rows], axis=0)


def _tile(image: np.ndarray) -> np.ndarray:
    how = cv2.INTER_AREA if image.shape[0] > TILE else cv2.INTER_LINEAR
    return cv2.resize(np.ascontiguousarray(image), (TILE, TILE), interpolation=how)


def _projected(clip: ClipImages, position: int) -> Float[np.ndarray, "478 2"]:
    track = clip.track
    return project_points(track.mesh, track.viewmats[position], track.focal, clip.width, clip.height)


def _in_sixteenths(places: np.ndarray, clip: ClipImages) -> np.ndarray:
    """Pixels of the frame as sixteenths of pixels of a tile, which OpenCV draws with `shift=4`."""
    return np.round(16 * TILE / clip.width * places - 8).astype(np.int32)


def _landmarks(image: np.ndarray, clip: ClipImages, position: int) -> np.ndarray:
    image = _tile(image).copy()
    for places, color in ((clip.landmarks[position], SEEN), (_projected(clip, position), TRACKED)):
        for x, y in _in_sixteenths(places, clip).tolist():
            cv2.circle(image, (x, y), 14, color, -1, cv2.LINE_AA, shift=4)
    return image


def _mesh(image: np.ndarray, clip: ClipImages, position: int) -> np.ndarray:
    image = _tile(image)
    triangles = _in_sixteenths(_projected(clip, position)[:NUM_SKIN], clip)[face_triangles()]
    drawn = cv2.polylines(image.copy(), list(triangles), True, SEEN, 1, cv2.LINE_AA, shift=4)
    return cv2.addWeighted(image, 0.55, drawn, 0.45, 0)


def _masks(image: np.ndarray, labels: np.ndarray) -> np.ndarray:
    tinted = 0.45 * image + 0.55 * TINT[labels]
    return np.where((labels == Label.HEAD)[..., None], image, tinted).astype(np.uint8)


def _seen_from(points: np.ndarray, colors: np.ndarray, across: int, toward: int) -> np.ndarray:
    """Points in parallel projection: `across` grows to the right, `toward` is the axis that points at the viewer."""
    low, high = points.min(0) - 0.1, points.max(0) + 0.1
    scale = POINTS_HEIGHT / (high[1] - low[1])
    canvas = np.full((POINTS_HEIGHT, max(2, round(scale * (high[across] - low[across]))), 3), 24, np.uint8)
    order = np.argsort(points[:, toward])  # nearer points are painted later
    columns = (scale * (points[order, across] - low[across])).astype(int)
    rows = (scale * (high[1] - points[order, 1])).astype(int)
    for down in range(DOT):
        for right in range(DOT):
            y, x = (rows + down).clip(0, len(canvas) - 1), (columns + right).clip(0, canvas.shape[1] - 1)
            canvas[y, x] = colors[order]
    return canvas
