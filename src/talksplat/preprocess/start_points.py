"""Dense points where an avatar's Gaussians begin: face surface, mouth interior, scalp, ears and hair.

Starting from the 478 landmarks alone gives poor avatars, a face-only mesh leaves hair and crown to be grown (field notes);
so the head masks of all poses carve the rest out of a head-shaped volume.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from scipy.ndimage import binary_erosion

from talksplat.media.face_landmarker import load_mediapipe
from talksplat.preprocess.face_tracker.base import HeadTrack
from talksplat.preprocess.face_tracker.face_regions import FACE_OVAL, INNER_LIP
from talksplat.subject_format.labels import Label

NUM_SKIN = 468  # landmarks on the skin; the other ten are the irises
STEP = 0.05  # dm, edge of a carving voxel
CENTER, RADII, LONG_HAIR = (0.0, 0.25, -0.55), (1.75, 1.6, 0.95), 3.2  # dm; below the centre the volume is elongated
BACK = -1.2  # dm; what lies further back is never seen from the front
TEETH_BEHIND = (0.06, 0.28)  # dm behind the lips
AS_PLATE, MOST_AS_PLATE = 24, 0.2  # largest difference of a channel; share of the points
FACE_SHARE, MOUTH_SHARE = 0.45, 0.05


def face_triangles() -> Int[np.ndarray, "triangle 3"]:
    """MediaPipe's triangulation of its 468 skin landmarks, without the openings of eyes and mouth."""
    _, vision = load_mediapipe()
    edges = [(edge.start, edge.end) for edge in vision.FaceLandmarksConnections.FACE_LANDMARKS_TESSELATION]
    return np.array([[edges[i][0], edges[i + 1][0], edges[i + 2][0]] for i in range(0, len(edges), 3)])


def sample_surface(
    vertices: Float[np.ndarray, "vertex 3"],
    triangles: Int[np.ndarray, "triangle 3"],
    count: int,
    generator: np.random.Generator,
) -> Float[np.ndarray, "count 3"]:
    """Points evenly spread over a mesh by area."""
    corners = vertices[triangles]
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    # systematic sampling: each triangle gets its share up to rounding, so no clumps
    places = (np.arange(count) + generator.random()) / count
    chosen = np.searchsorted(np.cumsum(areas) / areas.sum(), places).clip(max=len(triangles) - 1)
    u, v = np.sqrt(generator.random(count)), generator.random(count)
    barycentric = np.stack([1 - u, u * (1 - v), u * v], axis=1)
    return (corners[chosen] * barycentric[..., None]).sum(1)


def mouth_interior(
    mesh: Float[np.ndarray, "478 3"], count: int, generator: np.random.Generator
) -> Float[np.ndarray, "count 3"]:
    """Points behind the lips, where teeth and tongue show when the mouth opens, curved like the row of teeth."""
    lips = mesh[list(INNER_LIP)]
    center, half = lips.mean(0), 0.5 * np.ptp(lips[:, 0])
    across = generator.uniform(-1, 1, count)
    up = generator.uniform(-0.26, 0.14, count)  # dm; the lower jaw opens downward
    depth = generator.uniform(*TEETH_BEHIND, count) + 0.25 * across**2
    return center + np.stack([0.95 * half * across, up, -depth], axis=1)


def in_masks(
    points: Float[np.ndarray, "point 3"],
    track: HeadTrack,
    positions: Int[np.ndarray, " key"],
    masks: Bool[np.ndarray, "key height width"],
) -> tuple[Int[np.ndarray, " point"], Int[np.ndarray, " point"]]:
    """In how many of the frames a point lies in the image, and in how many of those in the mask."""
    seen = np.zeros(len(points), np.int64)
    hit = np.zeros(len(points), np.int64)
    height, width = masks.shape[1:]
    for position, mask in zip(positions, masks):
        columns, rows, inside = _pixels(points, track, int(position), width, height)
        seen += inside
        hit[inside] += mask[rows[inside], columns[inside]]
    return seen, hit


def _pixels(points: np.ndarray, track: HeadTrack, position: int, width: int, height: int):
    viewmat = track.viewmats[position].astype(np.float64)
    camera = points @ viewmat[:3, :3].T + viewmat[:3, 3]
    depth = np.maximum(camera[:, 2], 1e-3)
    columns = np.floor(track.focal * camera[:, 0] / depth + width / 2).astype(np.int64)
    rows = np.floor(track.focal * camera[:, 1] / depth + height / 2).astype(np.int64)
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height) & (camera[:, 2] > 0)
    return columns, rows, inside


def carve_head(
    track: HeadTrack,
    positions: Int[np.ndarray, " key"],
    masks: Bool[np.ndarray, "key height width"],
    count: int,
    generator: np.random.Generator,
    agreement: float = 0.9,
) -> Float[np.ndarray, "point 3"]:
    """Points on scalp, ears and hair: the front of what lies inside the head masks in nearly all frames that see it.

    Silhouettes alone do not bound depth for a head that hardly turns, so a head-shaped volume does. Points behind the
    face itself are left out. Returns at most `count` points.
    """
    axes = [np.arange(low, high, STEP) for low, high in ((-1.8, 1.8), (-2.6, 1.9), (-1.6, 0.5))]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    local = (grid - np.array(CENTER)) / np.array(RADII)
    local[..., 1] = np.where(local[..., 1] < 0, local[..., 1] * RADII[1] / LONG_HAIR, local[..., 1])
    solid = (local**2).sum(-1) < 1
    seen, hit = in_masks(grid[solid], track, positions, masks)
    solid[solid] = (seen >= max(2, 0.2 * len(masks))) & (hit >= agreement * seen)
    surface = solid & ~binary_erosion(solid)
    hidden = np.zeros_like(solid)
    hidden[..., 1:] = ~solid[..., :-1]  # open toward the back only
    front = np.zeros_like(solid)
    front[..., :-1] = ~solid[..., 1:]
    sides = surface & ~binary_erosion(solid, structure=_cross_in_plane())
    surface &= (front | sides | ~hidden) & (grid[..., 2] > BACK)
    points = grid[surface]
    outline = (track.mesh[list(FACE_OVAL), :2] * np.array([0.9, 0.93])).astype(np.float32)
    behind = np.array([cv2.pointPolygonTest(outline, (float(x), float(y)), False) >= 0 for x, y in points[:, :2]])
    points = points[~behind] if len(points) else points
    if not len(points):
        return np.zeros((0, 3))
    chosen = generator.permutation(len(points))
    repeats = int(np.ceil(count / len(points)))
    points = np.concatenate([points[chosen]] * repeats)[:count]
    points = points + generator.uniform(-0.5, 0.5, points.shape) * STEP
    seen, hit = in_masks(points, track, positions, masks)
    return points[hit >= agreement * np.maximum(seen, 1)]


def _cross_in_plane() -> np.ndarray:
    structure = np.zeros((3, 3, 3), bool)
    structure[:, 1, 1] = structure[1, :, 1] = True
    return structure


def shows_plate(
    points: Float[np.ndarray, "point 3"],
    track: HeadTrack,
    positions: Int[np.ndarray, " key"],
    images: UInt8[np.ndarray, "key height width 3"],
    plate: UInt8[np.ndarray, "height width 3"],
    seen: Bool[np.ndarray, "height width"],
) -> Bool[np.ndarray, " point"]:
    """Points whose pixels are those of the background in most of the frames that can tell: masks were too wide there.

    None where too many would be: the background then has the colours of the hair.
    """
    height, width = seen.shape
    told, alike = np.zeros(len(points), np.int64), np.zeros(len(points), np.int64)
    for position, image in zip(positions, images):
        columns, rows, inside = _pixels(points, track, int(position), width, height)
        inside[inside] &= seen[rows[inside], columns[inside]]
        place = rows[inside], columns[inside]
        told += inside
        alike[inside] += np.abs(image[place].astype(np.int16) - plate[place]).max(-1) < AS_PLATE
    found = (told >= max(2, 0.2 * len(images))) & (alike > 0.5 * told)
    return found if found.mean() < MOST_AS_PLATE else np.zeros(len(points), bool)


def point_colors(
    points: Float[np.ndarray, "point 3"],
    track: HeadTrack,
    positions: Int[np.ndarray, " key"],
    images: UInt8[np.ndarray, "key height width 3"],
    masks: Bool[np.ndarray, "key height width"],
) -> UInt8[np.ndarray, "point 3"]:
    """Median colour of each point over the frames in which it falls on the head; the head's mean where none does."""
    height, width = masks.shape[1:]
    samples = np.full((len(positions), len(points), 3), np.nan, np.float32)
    for sample, position, image, mask in zip(samples, positions, images, masks):
        columns, rows, inside = _pixels(points, track, int(position), width, height)
        on_head = np.flatnonzero(inside)
        on_head = on_head[mask[rows[on_head], columns[on_head]]]
        sample[on_head] = image[rows[on_head], columns[on_head]]
    known = np.isfinite(samples[..., 0]).any(0)
    colors = np.empty((len(points), 3), np.float32)
    colors[:] = images[masks].mean(0) if masks.any() else 127
    colors[known] = np.nanmedian(samples[:, known], axis=0)
    return np.round(colors).astype(np.uint8)


def start_points(
    track: HeadTrack,
    positions: Int[np.ndarray, " key"],
    images: UInt8[np.ndarray, "key height width 3"],
    labels: UInt8[np.ndarray, "key height width"],
    count: int = 30000,
    seed: int = 0,
    plate: UInt8[np.ndarray, "height width 3"] | None = None,
    seen: Bool[np.ndarray, "height width"] | None = None,
) -> tuple[Float[np.ndarray, "point 3"], UInt8[np.ndarray, "point 3"]]:
    """About `count` points (dm, head frame) and their colours, from some frames (`positions` in the track).

    Points around the face that show the background's `plate`, where it was `seen`, are left out.
    """
    generator = np.random.default_rng(seed)
    masks = labels == Label.HEAD
    mesh = track.mesh.astype(np.float64)
    face = sample_surface(mesh[:NUM_SKIN], face_triangles(), round(FACE_SHARE * count) - NUM_SKIN, generator)
    mouth = mouth_interior(mesh, round(MOUTH_SHARE * count), generator)
    rest = carve_head(track, positions, masks, count - len(face) - NUM_SKIN - len(mouth), generator)
    if plate is not None:
        rest = rest[~shows_plate(rest, track, positions, images, plate, seen)]
    points = np.concatenate([mesh[:NUM_SKIN], face, mouth, rest]).astype(np.float32)
    return points, point_colors(points, track, positions, images, masks)
