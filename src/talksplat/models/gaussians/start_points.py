"""Start points of the Gaussians: a given number of evenly spread points on a surface cloud."""

from __future__ import annotations

import logging

import numpy as np
from scipy.spatial import cKDTree

from talksplat.errors import UserError

log = logging.getLogger(__name__)

FEW_POINTS = 2000  # 478 landmarks as start points gave poor results whatever the schedule
MESH_NEIGHBORS = 6


def resample_points(
    points: np.ndarray, colors: np.ndarray | None, num_points: int | None, seed: int = 0
) -> tuple[np.ndarray, np.ndarray | None]:
    """Thin out or densify a surface cloud to exactly `num_points`.

    Args:
        points: float [V, 3] in dm.
        colors: uint8 [V, 3] RGB, or None.
        num_points: how many to return; None keeps the cloud as it is.

    Returns:
        points float32 [num_points, 3] and colors uint8 [num_points, 3] or None.

    Raises:
        UserError: fewer than 4 points, points that are not finite, colours of another length, num_points below 4.
    """
    points = np.asarray(points, dtype=np.float32)
    if points.ndim != 2 or points.shape[1] != 3 or len(points) < 4 or not np.isfinite(points).all():
        raise UserError(
            f"start points must be at least 4 finite points [V, 3], not {points.shape}; "
            "check `vertices` in track_params.pt"
        )
    if colors is not None and len(colors) != len(points):
        raise UserError(f"{len(colors)} vertex colours for {len(points)} start points; check track_params.pt")
    if num_points is not None and num_points < 4:
        raise UserError(f"num_points={num_points}: at least 4 Gaussians are needed")
    if min(len(points), num_points or len(points)) < FEW_POINTS:
        log.warning("starting from %d of %d mesh points: detail will be poor", num_points or len(points), len(points))
    rng = np.random.default_rng(seed)
    if num_points is None or num_points == len(points):
        return points, colors
    if num_points < len(points):
        chosen = _spread_subset(points, num_points, rng)
        return points[chosen], None if colors is None else colors[chosen]
    return _densify(points, colors, num_points, rng)


def neighbor_distances(points: np.ndarray, neighbors: int = 3) -> np.ndarray:
    """Root mean squared distance (dm) of each point [N, 3] to its nearest `neighbors` (3DGS start scale)."""
    distances, _ = cKDTree(points).query(points, k=min(neighbors, len(points) - 1) + 1)
    return np.sqrt((distances[:, 1:] ** 2).mean(axis=1))


def _spread_subset(points: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    # One point per cell of the finest grid that has at most `count` occupied cells, then random ones: nearly even, where
    # a plain random choice leaves holes and clusters.
    order = rng.permutation(len(points))
    shifted = points[order] - points.min(axis=0)
    low, high = 0.0, float(shifted.max()) + 1e-6
    chosen = np.array([0])
    for _ in range(24):
        cell = (low + high) / 2
        _, first = np.unique((shifted / cell).astype(np.int64), axis=0, return_index=True)
        if len(first) > count:
            low = cell
        else:
            high, chosen = cell, first
    rest = np.setdiff1d(np.arange(len(points)), chosen)
    return np.sort(order[np.concatenate([chosen, rest[: count - len(chosen)]])])


def _densify(
    points: np.ndarray, colors: np.ndarray | None, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray | None]:
    # New points lie in triangles of a point and two of its neighbours, so they stay close to the surface.
    extra = count - len(points)
    corners = np.concatenate([rng.permutation(len(points)) for _ in range(-(-extra // len(points)))])[:extra]
    _, near = cKDTree(points).query(points[corners], k=min(MESH_NEIGHBORS, len(points) - 1) + 1)
    picks = rng.permuted(near[:, 1:], axis=1)[:, :2]
    triangles = np.concatenate([corners[:, None], picks], axis=1)
    weights = rng.dirichlet(np.ones(3), size=extra)[..., None]
    added = (points[triangles] * weights).sum(axis=1).astype(np.float32)
    if colors is not None:
        mixed = (np.asarray(colors, dtype=np.float32)[triangles] * weights).sum(axis=1)
        colors = np.concatenate([colors, mixed.round().astype(np.uint8)])
    return np.concatenate([points, added]), colors
