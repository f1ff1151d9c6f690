"""Screen footprint of a Gaussian: its box, and the rows it crosses within one tile.

A pixel is reached when o exp(-sigma) >= 1/255, i.e. when A dx^2 + 2 B dx dy + C dy^2 <= t with t = 2 ln(255 o). Rows
outside this ellipse are left out of the tile loop, which changes nothing in the image. The ellipse is taken 1 % too
large, so that rounding never loses a pixel; for needles, whose conics have lost digits, the whole box is taken.
"""

from __future__ import annotations

import math

import numpy as np

from talksplat.rasterizer import base
from talksplat.rasterizer.numba_kernels.floats import F32
from talksplat.rasterizer.numba_kernels.runtime import function

TILE = base.TILE_SIZE
ALPHA_MIN = F32(base.ALPHA_MIN)
HALF, ZERO, TWO = F32(0.5), F32(0.0), F32(2.0)
ROW_SLACK = F32(0.01)  # pixels, for the rounding of pixel positions
RELIABLE_DETERMINANT = F32(1e-3)  # smallest (A C - B^2) / (A C) at which the ellipse is trusted


@function
def reach(conic_a, conic_b, conic_c, opacity, radius_x, radius_y):
    """(t, half width, half height) of the ellipse in pixels; t is 0 where only the box is known."""
    limit = TWO * math.log(opacity / ALPHA_MIN) * F32(1.01) + F32(1e-4)
    determinant = conic_a * conic_c - conic_b * conic_b
    if not determinant > RELIABLE_DETERMINANT * conic_a * conic_c:
        return ZERO, radius_x, radius_y
    half_width = min(radius_x, math.sqrt(limit * conic_c / determinant) + ROW_SLACK)
    half_height = min(radius_y, math.sqrt(limit * conic_a / determinant) + ROW_SLACK)
    return limit, half_width, half_height


@function
def pixel_range(center, half_size, size):
    """First pixel and one past the last whose centre lies within `half_size` of `center`, inside an image of `size`."""
    low = max(center - half_size - HALF, F32(-1.0))
    high = min(center + half_size - HALF, F32(size))
    if not (low <= high):
        return 0, 0
    return max(np.int64(math.ceil(low)), 0), min(np.int64(math.floor(high)) + 1, size)


@function
def rows_in_tile(x, y, conic_a, conic_b, conic_c, limit, half_width, half_height, tile_x, tile_y, height):
    """Rows [first, end) of the tile, counted from its top, that the ellipse crosses inside the tile's columns."""
    low, high = -half_height, half_height
    if limit > ZERO:
        left = max(F32(tile_x * TILE) + HALF - x, -half_width)
        right = min(F32(tile_x * TILE + TILE) - HALF - x, half_width)
        if left > right:
            return 0, 0
        low = _edge(conic_a, conic_b, conic_c, limit, half_height, left, right, F32(-1.0))
        high = _edge(conic_a, conic_b, conic_c, limit, half_height, left, right, F32(1.0))
    first, end = pixel_range(y + HALF * (low + high), HALF * (high - low) + ROW_SLACK, height)
    top = tile_y * TILE
    return max(first - top, 0), min(end - top, TILE)


@function
def _edge(conic_a, conic_b, conic_c, limit, half_height, left, right, side):
    """Lowest (side -1) or highest (side 1) point of the ellipse, relative to its centre, between two columns."""
    column = -side * conic_b * half_height / conic_a  # where the ellipse is highest or lowest
    column = min(max(column, left), right)
    determinant = conic_a * conic_c - conic_b * conic_b
    root = math.sqrt(max(conic_c * limit - determinant * column * column, ZERO))
    return (side * root - conic_b * column) / conic_c
