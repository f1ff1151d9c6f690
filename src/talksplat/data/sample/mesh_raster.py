"""Draws a textured triangle mesh: which texture pixel each output pixel sees, with a depth buffer, then a lookup."""

from __future__ import annotations

import cv2
import numba
import numpy as np
from jaxtyping import Float, Int, UInt8

OUTSIDE = -10.0  # texture coordinate of pixels without mesh


@numba.njit(cache=True)
def texture_map(pixels, depths, uvs, triangles, width, height):
    """Texture coordinates float32[height, width, 2] of the nearest triangle at each pixel centre; OUTSIDE without one.

    `pixels` [V, 2] and `depths` [V] (positive) are projected vertices, `uvs` [V, 2] their texture pixels. Texture
    coordinates are interpolated perspective-correctly. All float64 except the result.
    """
    result = np.full((height, width, 2), OUTSIDE, np.float32)
    nearness = np.zeros((height, width), np.float64)
    for t in range(triangles.shape[0]):
        i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        xi, yi, xj, yj, xk, yk = pixels[i, 0], pixels[i, 1], pixels[j, 0], pixels[j, 1], pixels[k, 0], pixels[k, 1]
        x0 = max(int(np.floor(min(xi, xj, xk) - 0.5)), 0)
        x1 = min(int(np.ceil(max(xi, xj, xk) - 0.5)), width - 1)
        y0 = max(int(np.floor(min(yi, yj, yk) - 0.5)), 0)
        y1 = min(int(np.ceil(max(yi, yj, yk) - 0.5)), height - 1)
        area = (xj - xi) * (yk - yi) - (xk - xi) * (yj - yi)
        if x0 > x1 or y0 > y1 or abs(area) < 1e-12:
            continue
        ni, nj, nk = 1 / depths[i], 1 / depths[j], 1 / depths[k]
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                px, py = x + 0.5, y + 0.5
                wi = ((xj - px) * (yk - py) - (xk - px) * (yj - py)) / area
                wj = ((xk - px) * (yi - py) - (xi - px) * (yk - py)) / area
                wk = 1 - wi - wj
                if wi < -1e-9 or wj < -1e-9 or wk < -1e-9:
                    continue
                near = wi * ni + wj * nj + wk * nk
                if near > nearness[y, x]:
                    nearness[y, x] = near
                    for c in range(2):
                        result[y, x, c] = (wi * ni * uvs[i, c] + wj * nj * uvs[j, c] + wk * nk * uvs[k, c]) / near
    return result


def look_up(
    texture: Float[np.ndarray, "texture_height texture_width channel"], coordinates: Float[np.ndarray, "height width 2"]
) -> Float[np.ndarray, "height width channel"]:
    """Bilinear samples of `texture`, zero outside of it. Texture pixel centres are at +0.5."""
    centred = coordinates - np.float32(0.5)
    return cv2.remap(texture, centred, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)


def grid_triangles(rows: int, columns: int) -> Int[np.ndarray, "triangle 3"]:
    """Two triangles for each cell of a row-major grid of vertices."""
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    return np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([b, d, c], -1).reshape(-1, 3)])


def sample_surface(
    points: Float[np.ndarray, "vertex 3"],
    uvs: Float[np.ndarray, "vertex 2"],
    triangles: Int[np.ndarray, "triangle 3"],
    texture: Float[np.ndarray, "height width 4"],
    count: int,
    rng: np.random.Generator,
) -> tuple[Float[np.ndarray, "point 3"], UInt8[np.ndarray, "point 3"]]:
    """`count` random points on the opaque part of a mesh textured in premultiplied RGBA (0..255, 0..1); colours."""
    corners = points[triangles]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=-1)
    centers = uvs[triangles].mean(1)[None].astype(np.float32)
    area = area * (look_up(texture, centers)[0, :, 3] > 0.5)
    chosen = triangles[rng.choice(len(triangles), count, p=area / area.sum())]
    share = rng.dirichlet((1, 1, 1), count)[..., None]
    colors = look_up(texture, (uvs[chosen] * share).sum(1)[None].astype(np.float32))[0]
    colors = colors[:, :3] / np.maximum(colors[:, 3:], 0.05)
    return (points[chosen] * share).sum(1), np.clip(np.round(colors), 0, 255).astype(np.uint8)
