"""Backward pass of the compositing: front to back with recomputed alphas, six moments a pair, and no atomics.

With R = what lies behind the current Gaussian times the image gradient, dL/dalpha = T q - R / (1 - alpha), where q is
its colour times the image gradient. R starts as image . v_image + T_final v_T and loses w q at each Gaussian; nothing
is divided to recover T, which is where back to front passes lose digits. Each (tile, Gaussian) pair owns a row of
[pairs, 6 + K], those of one Gaussian side by side; `reduce_pairs` sums them, in the same order for any thread count.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from talksplat.rasterizer.numba_kernels.floats import F32, exp2_nonpositive
from talksplat.rasterizer.numba_kernels.footprint import TILE
from talksplat.rasterizer.numba_kernels.forward import (
    ALPHA_MAX,
    ALPHA_MIN,
    COLOR,
    ONE,
    PIXELS,
    PX,
    PY,
    SIDE,
    STOP,
    ZERO,
    T,
    U,
    start_tile,
)
from talksplat.rasterizer.numba_kernels.runtime import function, parallel_kernel

HALF = F32(0.5)
R, W, V0 = U(3) * PIXELS, U(4) * PIXELS, U(5) * PIXELS
V1, V2 = U(6) * PIXELS, U(7) * PIXELS
MOMENTS = 6  # sums of v_sigma times 1, dx, dy, dx^2, dx dy, dy^2


@function
def _pair_rgb(scratch, table, j, first, end, out):
    """Moments and colour gradients of one Gaussian over pixels [first, end), three channels."""
    mx, my, a, b, c, opacity = table[j, 0], table[j, 1], table[j, 2], table[j, 3], table[j, 4], table[j, 5]
    red, green, blue = table[j, COLOR], table[j, COLOR + U(1)], table[j, COLOR + U(2)]
    s, sx, sy, sxx, sxy, syy, s_red, s_green, s_blue = ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO
    for i in range(first, end):
        dx, dy = mx - scratch[PX + i], my - scratch[PY + i]
        exponent = a * dx * dx + b * dx * dy + c * dy * dy
        full = opacity * exp2_nonpositive(exponent)
        alpha = full if full < ALPHA_MAX else ALPHA_MAX
        left = scratch[T + i]
        valid = (exponent <= ZERO) & (alpha >= ALPHA_MIN) & (left > ZERO)
        following = left * (ONE - alpha)
        kept = valid & (following > STOP)
        weight = alpha * left if kept else ZERO
        scratch[T + i] = following if kept else (-left if valid else left)
        v_red, v_green, v_blue = scratch[V0 + i], scratch[V1 + i], scratch[V2 + i]
        q = red * v_red + green * v_green + blue * v_blue
        behind = scratch[R + i] - weight * q
        scratch[R + i] = behind
        v_sigma = alpha * (behind / (ONE - alpha) - left * q)
        v_sigma = v_sigma if kept & (full < ALPHA_MAX) else ZERO
        s += v_sigma
        sx += v_sigma * dx
        sy += v_sigma * dy
        sxx += v_sigma * dx * dx
        sxy += v_sigma * dx * dy
        syy += v_sigma * dy * dy
        s_red += weight * v_red
        s_green += weight * v_green
        s_blue += weight * v_blue
    out[0], out[1], out[2], out[3], out[4], out[5] = s, sx, sy, sxx, sxy, syy
    out[6], out[7], out[8] = s_red, s_green, s_blue


@function
def _pair_any(scratch, table, j, first, end, channels, out):
    """As `_pair_rgb` for any number of channels; the row W holds q, then the weights."""
    mx, my, a, b, c, opacity = table[j, 0], table[j, 1], table[j, 2], table[j, 3], table[j, 4], table[j, 5]
    for i in range(first, end):
        scratch[W + i] = ZERO
    for k in range(U(channels)):
        color, row = table[j, COLOR + k], V0 + k * PIXELS
        for i in range(first, end):
            scratch[W + i] += color * scratch[row + i]
    s, sx, sy, sxx, sxy, syy = ZERO, ZERO, ZERO, ZERO, ZERO, ZERO
    for i in range(first, end):
        dx, dy = mx - scratch[PX + i], my - scratch[PY + i]
        exponent = a * dx * dx + b * dx * dy + c * dy * dy
        full = opacity * exp2_nonpositive(exponent)
        alpha = full if full < ALPHA_MAX else ALPHA_MAX
        left = scratch[T + i]
        valid = (exponent <= ZERO) & (alpha >= ALPHA_MIN) & (left > ZERO)
        following = left * (ONE - alpha)
        kept = valid & (following > STOP)
        weight = alpha * left if kept else ZERO
        scratch[T + i] = following if kept else (-left if valid else left)
        q = scratch[W + i]
        scratch[W + i] = weight
        behind = scratch[R + i] - weight * q
        scratch[R + i] = behind
        v_sigma = alpha * (behind / (ONE - alpha) - left * q)
        v_sigma = v_sigma if kept & (full < ALPHA_MAX) else ZERO
        s += v_sigma
        sx += v_sigma * dx
        sy += v_sigma * dy
        sxx += v_sigma * dx * dx
        sxy += v_sigma * dx * dy
        syy += v_sigma * dy * dy
    out[0], out[1], out[2], out[3], out[4], out[5] = s, sx, sy, sxx, sxy, syy
    for k in range(U(channels)):
        total, row = ZERO, V0 + k * PIXELS
        for i in range(first, end):
            total += scratch[W + i] * scratch[row + i]
        out[U(MOMENTS) + k] = total


@function
def _load_gradients(scratch, tile_x, tile_y, image, transmittance, v_image, v_transmittance):
    """Image gradient and R = image . v_image + T_final v_T of the tile's pixels; zeros outside the image."""
    height, width, channels = image.shape
    scratch[R:] = ZERO
    top, left = tile_y * TILE, tile_x * TILE
    for y in range(top, min(top + TILE, height)):
        for x in range(left, min(left + TILE, width)):
            i = U((y - top) * TILE + x - left)
            behind = transmittance[y, x] * v_transmittance[y, x]
            for k in range(channels):
                behind += image[y, x, k] * v_image[y, x, k]
                scratch[V0 + U(k) * PIXELS + i] = v_image[y, x, k]
            scratch[R + i] = behind


@parallel_kernel
def rasterize_vjp(table, lists, tile_order, tiles_x, capacity, image, transmittance, gradients, threads):
    """Rows [capacity, 6 + K] of moments and colour gradients of the pairs.

    `lists` = (tile_start, ranks, rows, origins, used), `gradients` = (v_image, v_transmittance); `image` is the forward
    result without background.
    """
    tile_start, ranks, rows, origins, used = lists
    v_image, v_transmittance = gradients
    height, width, channels = image.shape
    pairs = np.empty((capacity, MOMENTS + channels), np.float32)
    for thread in prange(threads):
        scratch = np.empty(V0 + U(channels) * PIXELS, np.float32)
        for index in range(np.int64(thread), tile_order.size, threads):
            tile = tile_order[index]
            start, end = tile_start[tile], tile_start[tile + 1]
            if start == end:
                continue
            start_tile(scratch, tile % tiles_x, tile // tiles_x, width, height)
            _load_gradients(scratch, tile % tiles_x, tile // tiles_x, image, transmittance, v_image, v_transmittance)
            for p in range(start, start + used[tile]):
                first, last = U(rows[p, 0]) * SIDE, U(rows[p, 1]) * SIDE
                if channels == 3:
                    _pair_rgb(scratch, table, U(ranks[p]), first, last, pairs[origins[p]])
                else:
                    _pair_any(scratch, table, U(ranks[p]), first, last, channels, pairs[origins[p]])
            for p in range(start + used[tile], end):
                pairs[origins[p]] = ZERO
    return pairs
