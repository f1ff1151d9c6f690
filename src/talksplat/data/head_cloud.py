"""Start points for folders whose track has no `vertices`: a head-shaped cloud carved from the head masks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from scipy.ndimage import binary_erosion

from talksplat.errors import UserError
from talksplat.subject_format.subject import Subject, load_background, load_frame

FRAMES = 16  # training frames used
MOST_POINTS = 30000  # the lineage starts from 34,650; never more points than the head has pixels
STEP = 0.05  # dm, edge of a carving voxel
WIDER = 1.25  # of the silhouette: the masks and not the ellipsoid bound the cloud sideways
FACE_FRONT = 0.65  # dm before the origin, which the trackers of the lineage put into the middle of the face's mesh
SKULL = (0.85, 1.2)  # dm, half of the width and height of a head without hair, at most
CROWN = 0.25  # dm, how far the middle of a head lies above the face's, at most
DEPTH = (0.7, 1.1)  # dm, half of a head's depth
HAIR_BEHIND = 0.6  # dm from the front of the face to that of hair next to it
BACK_SHARE = 0.6  # of that half depth, behind the centre: points further back are never visible
AGREEMENT = 0.9  # share of the frames in whose masks a point lies


def with_head_cloud(subject: Subject) -> Subject:
    """The same subject with start points and colours, made of training frames only, and a note that says so.

    Raises UserError if masks and poses do not agree on any head.
    """
    positions = subject.train[np.unique(np.linspace(0, len(subject.train) - 1, FRAMES).round().astype(int))]
    plate = load_background(subject)
    frames = [load_frame(subject, int(subject.frame_ids[position]), plate) for position in positions]
    masks = np.stack([frame["head_mask"] for frame in frames])
    images = np.stack([frame["original"] for frame in frames])
    count = int(min(MOST_POINTS, np.median(masks.sum((1, 2)))))
    points = carve(subject.viewmats[positions], subject.K, masks, count) if count else np.zeros((0, 3))
    if len(points) < 4:
        raise UserError(
            f"no start points could be carved for {subject.root}: its head masks (parsing) and head poses do not agree on "
            "a head; look at both with `python -m talksplat.preprocess check=FOLDER`, or track the head again"
        )
    note = f"{len(points)} start points were carved from the head masks of {len(positions)} training frames"
    colors = point_colors(points, subject.viewmats[positions], subject.K, images, masks)
    return replace(subject, vertices=points, vertex_colors=colors, notes=[*subject.notes, note])


def carve(
    viewmats: Float[np.ndarray, "key 4 4"],
    K: Float[np.ndarray, "3 3"],
    masks: Bool[np.ndarray, "key height width"],
    count: int,
    seed: int = 0,
) -> Float[np.ndarray, "point 3"]:
    """At most `count` points (dm, head frame) on the front and the sides of the masks' visual hull.

    Silhouettes of a head that hardly turns do not bound its depth, so two ellipsoids do: one of the size of a skull, and
    behind its front one as wide and tall as the silhouettes, for hair.
    """
    low, high = silhouette(viewmats, K, masks)
    center, half = (low + high) / 2, (high - low) / 2
    skull = np.minimum(half, SKULL)
    depth = float(np.clip(1.2 * skull[0], *DEPTH))
    back = FACE_FRONT - depth
    hair = np.append(center, back - HAIR_BEHIND), np.append(WIDER * half, depth)
    face = np.array([center[0], min(center[1], CROWN), back]), np.append(WIDER * skull, depth)
    axes = [np.arange(c - r, c + r + STEP, STEP) for c, r in zip(*hair)]
    axes[2] = np.arange(back - depth, FACE_FRONT + STEP, STEP)
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    solid = np.zeros(grid.shape[:3], bool)
    for middle, radii in (hair, face):
        solid |= (((grid - middle) / radii) ** 2).sum(-1) < 1
    solid[solid] = _agree(grid[solid], viewmats, K, masks)
    surface = solid & ~binary_erosion(solid) & (grid[..., 2] > back - BACK_SHARE * depth)
    points = grid[surface]
    if not len(points):
        return np.zeros((0, 3), dtype=np.float32)
    generator = np.random.default_rng(seed)
    order = np.concatenate([generator.permutation(len(points)) for _ in range(-(-count // len(points)))])[:count]
    points = points[order] + generator.uniform(-0.5, 0.5, (len(order), 3)) * STEP
    return points[_agree(points, viewmats, K, masks)].astype(np.float32)


def silhouette(
    viewmats: Float[np.ndarray, "key 4 4"], K: Float[np.ndarray, "3 3"], masks: Bool[np.ndarray, "key height width"]
) -> tuple[Float[np.ndarray, " 2"], Float[np.ndarray, " 2"]]:
    """Lowest and highest x and y (dm, head frame) of the masks at the distance of the head's origin: median of frames."""
    boxes = []
    for viewmat, mask in zip(viewmats.astype(np.float64), masks):
        rows, columns = np.nonzero(mask)
        if not len(rows):
            continue
        pixels = np.stack([columns + 0.5, rows + 0.5, np.ones(len(rows))], axis=1)
        rays = pixels @ np.linalg.inv(K.astype(np.float64)).T * viewmat[2, 3]
        head = (rays - viewmat[:3, 3]) @ viewmat[:3, :3]
        boxes.append(np.percentile(head[:, :2], [1, 99], axis=0))
    low, high = np.median(boxes, axis=0)
    return low, high


def _agree(points, viewmats, K, masks) -> Bool[np.ndarray, " point"]:
    """Points that lie in the mask of nearly every frame that has them in the picture."""
    seen, hit = np.zeros(len(points), np.int64), np.zeros(len(points), np.int64)
    for viewmat, mask in zip(viewmats, masks):
        columns, rows, inside = pixels_of(points, viewmat, K, mask.shape)
        seen += inside
        hit[inside] += mask[rows[inside], columns[inside]]
    return (seen >= max(1, 0.2 * len(masks))) & (hit >= AGREEMENT * seen)


def pixels_of(
    points: np.ndarray, viewmat: np.ndarray, K: np.ndarray, size: tuple[int, int]
) -> tuple[Int[np.ndarray, " point"], Int[np.ndarray, " point"], Bool[np.ndarray, " point"]]:
    """Columns and rows of points (dm, head frame), and which of them lie in the picture."""
    camera = points @ viewmat[:3, :3].T + viewmat[:3, 3]
    depth = np.maximum(camera[:, 2], 1e-3)
    columns = np.floor(K[0, 0] * camera[:, 0] / depth + K[0, 2]).astype(np.int64)
    rows = np.floor(K[1, 1] * camera[:, 1] / depth + K[1, 2]).astype(np.int64)
    inside = (columns >= 0) & (columns < size[1]) & (rows >= 0) & (rows < size[0]) & (camera[:, 2] > 0)
    return columns, rows, inside


def point_colors(
    points: Float[np.ndarray, "point 3"],
    viewmats: Float[np.ndarray, "key 4 4"],
    K: Float[np.ndarray, "3 3"],
    images: UInt8[np.ndarray, "key height width 3"],
    masks: Bool[np.ndarray, "key height width"],
) -> UInt8[np.ndarray, "point 3"]:
    """Median colour of each point over the frames in whose head mask it lies."""
    samples = np.full((len(viewmats), len(points), 3), np.nan, np.float32)
    for sample, viewmat, image, mask in zip(samples, viewmats, images, masks):
        columns, rows, inside = pixels_of(points, viewmat, K, mask.shape)
        on_head = np.flatnonzero(inside)
        on_head = on_head[mask[rows[on_head], columns[on_head]]]
        sample[on_head] = image[rows[on_head], columns[on_head]]
    return np.nanmedian(samples, axis=0).round().astype(np.uint8)
