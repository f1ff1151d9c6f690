"""Front to back compositing of tiles, Gaussian by Gaussian over the rows of the tile that it crosses.

Scratch memory of a tile is one flat array of rows of 256 floats (one for each pixel), so that the compiler sees no
aliases and vectorises the pixel loop. The stop is kept in the sign of the transmittance T: negative when done.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from talksplat.rasterizer import base
from talksplat.rasterizer.numba_kernels.binning import TABLE_COLUMNS
from talksplat.rasterizer.numba_kernels.floats import F32, exp2_nonpositive
from talksplat.rasterizer.numba_kernels.footprint import TILE
from talksplat.rasterizer.numba_kernels.runtime import function, parallel_kernel

U = np.uintp  # unsigned indices need no wrap-around code, which would block vectorisation
PIXELS = U(TILE * TILE)
SIDE = U(TILE)
PX, PY, T, W, C0 = U(0), PIXELS, U(2) * PIXELS, U(3) * PIXELS, U(4) * PIXELS
C1, C2 = U(5) * PIXELS, U(6) * PIXELS
ALPHA_MAX, ALPHA_MIN, STOP = F32(base.ALPHA_MAX), F32(base.ALPHA_MIN), F32(base.STOP_TRANSMITTANCE)
ZERO, HALF, ONE = F32(0.0), F32(0.5), F32(1.0)
CHECK_EVERY = 32  # Gaussians between tests whether the whole tile is done
COLOR = U(TABLE_COLUMNS)


@function
def start_tile(scratch, tile_x, tile_y, width, height):
    """Pixel centres, and T = 1 inside the image, 0 (done from the start) outside."""
    for i in range(PIXELS):
        x, y = np.int64(tile_x * TILE + i % SIDE), np.int64(tile_y * TILE + i // SIDE)
        scratch[PX + i], scratch[PY + i] = F32(x) + HALF, F32(y) + HALF
        scratch[T + i] = ONE if x < width and y < height else ZERO


@function
def tile_is_done(scratch):
    """Whether all pixels are done."""
    active = np.int32(0)
    for i in range(PIXELS):
        active += np.int32(1) if scratch[T + i] > ZERO else np.int32(0)
    return active == 0


@function
def _blend_rgb(scratch, table, j, first, end):
    """One Gaussian over pixels [first, end): three colours in the same loop."""
    mx, my, a, b, c, opacity = table[j, 0], table[j, 1], table[j, 2], table[j, 3], table[j, 4], table[j, 5]
    red, green, blue = table[j, COLOR], table[j, COLOR + U(1)], table[j, COLOR + U(2)]
    for i in range(first, end):
        dx, dy = mx - scratch[PX + i], my - scratch[PY + i]
        exponent = a * dx * dx + b * dx * dy + c * dy * dy
        alpha = opacity * exp2_nonpositive(exponent)
        alpha = alpha if alpha < ALPHA_MAX else ALPHA_MAX
        left = scratch[T + i]
        valid = (exponent <= ZERO) & (alpha >= ALPHA_MIN) & (left > ZERO)
        following = left * (ONE - alpha)
        kept = valid & (following > STOP)
        weight = alpha * left if kept else ZERO
        scratch[T + i] = following if kept else (-left if valid else left)
        scratch[C0 + i] += weight * red
        scratch[C1 + i] += weight * green
        scratch[C2 + i] += weight * blue


@function
def _blend_any(scratch, table, j, first, end, channels):
    """As `_blend_rgb` for any number of channels: weights first, then one loop for each channel."""
    mx, my, a, b, c, opacity = table[j, 0], table[j, 1], table[j, 2], table[j, 3], table[j, 4], table[j, 5]
    for i in range(first, end):
        dx, dy = mx - scratch[PX + i], my - scratch[PY + i]
        exponent = a * dx * dx + b * dx * dy + c * dy * dy
        alpha = opacity * exp2_nonpositive(exponent)
        alpha = alpha if alpha < ALPHA_MAX else ALPHA_MAX
        left = scratch[T + i]
        valid = (exponent <= ZERO) & (alpha >= ALPHA_MIN) & (left > ZERO)
        following = left * (ONE - alpha)
        kept = valid & (following > STOP)
        scratch[W + i] = alpha * left if kept else ZERO
        scratch[T + i] = following if kept else (-left if valid else left)
    for k in range(U(channels)):
        color, row = table[j, COLOR + k], C0 + k * PIXELS
        for i in range(first, end):
            scratch[row + i] += scratch[W + i] * color


@function
def _blend_tile(scratch, table, ranks, rows, start, end, channels):
    """Composite one tile's list; returns how many of its Gaussians were looked at before all pixels were done."""
    for p in range(start, end):
        if (p - start) % CHECK_EVERY == CHECK_EVERY - 1 and tile_is_done(scratch):
            return p - start
        first, last = U(rows[p, 0]) * SIDE, U(rows[p, 1]) * SIDE
        if channels == 3:
            _blend_rgb(scratch, table, U(ranks[p]), first, last)
        else:
            _blend_any(scratch, table, U(ranks[p]), first, last, channels)
    return end - start


@parallel_kernel
def rasterize(table, tile_start, ranks, rows, tile_order, tiles_x, image, transmittance, threads):
    """Fill image[H, W, K] (no background) and transmittance[H, W]; returns the Gaussians used of each tile's list.

    `tile_order` lists the tiles longest first; thread t takes every `threads`-th of them from t on.
    """
    height, width, channels = image.shape
    used = np.zeros(tile_order.size, np.int32)
    for thread in prange(threads):
        scratch = np.empty(C0 + U(channels) * PIXELS, np.float32)
        for index in range(np.int64(thread), tile_order.size, threads):
            tile = tile_order[index]
            tile_y, tile_x = tile // tiles_x, tile % tiles_x
            start_tile(scratch, tile_x, tile_y, width, height)
            scratch[C0:] = ZERO
            used[tile] = _blend_tile(scratch, table, ranks, rows, tile_start[tile], tile_start[tile + 1], channels)
            top, left = tile_y * TILE, tile_x * TILE
            for y in range(top, min(top + TILE, height)):
                for x in range(left, min(left + TILE, width)):
                    i = U((y - top) * TILE + x - left)
                    transmittance[y, x] = abs(scratch[T + i])
                    for k in range(channels):
                        image[y, x, k] = scratch[C0 + U(k) * PIXELS + i]
    return used
