"""Structural similarity and its gradient on a CPU, in one pass over the image.

The loss is a scalar and the target needs no gradient, so the gradient with respect to the rendering is known as soon
as the local moments are; computing it at once keeps the blurred maps out of memory. Images stay channel-last: a
horizontal tap is then a shift by three numbers in a contiguous row, which vectorises. Only the sum of both variances
enters SSIM, so four maps are blurred instead of five.
"""

from __future__ import annotations

import numba
import numpy as np
import torch
from torch import Tensor

from talksplat.losses.ssim_constants import C1, C2, RADIUS, gaussian_window

# Reassociation lets sums vectorise; "no NaN" is not assumed, so a NaN in the image reaches the loss.
FAST = {"contract", "reassoc", "nsz", "arcp", "afn"}
ROWS = 32  # rows of one parallel strip: its blurred rows stay in the second-level cache
PAD = 3 * RADIUS  # numbers left and right of a padded RGB row


@numba.njit(fastmath=FAST, cache=True)
def _blur_row(source, taps, out):
    """Horizontal blur of an RGB row: zero padded `source` [PAD + 3 W + PAD] -> `out` [3 W]; the taps are symmetric."""
    t0, t1, t2, t3, t4, t5 = taps[0], taps[1], taps[2], taps[3], taps[4], taps[5]
    for i in range(np.uintp(out.shape[0])):
        out[i] = (
            t0 * (source[i] + source[i + 30])
            + t1 * (source[i + 3] + source[i + 27])
            + t2 * (source[i + 6] + source[i + 24])
            + t3 * (source[i + 9] + source[i + 21])
            + t4 * (source[i + 12] + source[i + 18])
            + t5 * source[i + 15]
        )


@numba.njit(fastmath=FAST, cache=True)
def _blur_column(rows, taps, out):
    """Vertical blur: `rows` [11, 3 W] -> `out` [3 W]."""
    t0, t1, t2, t3, t4, t5 = taps[0], taps[1], taps[2], taps[3], taps[4], taps[5]
    for i in range(np.uintp(out.shape[0])):
        out[i] = (
            t0 * (rows[0, i] + rows[10, i])
            + t1 * (rows[1, i] + rows[9, i])
            + t2 * (rows[2, i] + rows[8, i])
            + t3 * (rows[3, i] + rows[7, i])
            + t4 * (rows[4, i] + rows[6, i])
            + t5 * rows[5, i]
        )


@numba.njit(fastmath=FAST, cache=True)
def _similarity_row(moments, c1, c2, slopes):
    """Summed SSIM of one row.

    Args:
        moments: [4, 3 W] blurred x, y, xx + yy, xy.
        c1, c2: stabilising constants, in the type of `moments`.
        slopes: [3, 3 W], filled with dSSIM/d(blurred x), d(blurred xx), d(blurred xy).
    """
    one, two = moments.dtype.type(1), moments.dtype.type(2)
    total = moments.dtype.type(0)
    for i in range(np.uintp(moments.shape[1])):
        x, y = moments[0, i], moments[1, i]
        xy, power = x * y, x * x + y * y
        a = two * xy + c1
        b = two * (moments[3, i] - xy) + c2
        c = one / (power + c1)
        d = one / (moments[2, i] - power + c2)
        value = a * b * c * d
        total += value
        slopes[0, i] = two * (y * (b - a) * c * d - x * value * (c - d))
        slopes[1, i] = -value * d
        slopes[2, i] = two * a * c * d
    return total


@numba.njit(fastmath=FAST, cache=True)
def _products(x, y, out):
    """Rows of x, y, xx + yy and xy into `out` [4, 3 W]."""
    for i in range(np.uintp(x.shape[0])):
        u, v = x[i], y[i]
        out[0, i] = u
        out[1, i] = v
        out[2, i] = u * u + v * v
        out[3, i] = u * v


@numba.njit(fastmath=FAST, cache=True)
def _moments_strip(x, y, taps, y0, y1, c1, c2, slopes, totals):
    """SSIM over rows y0..y1 of [H, 3 W] images: per-row sums in `totals` [H], slopes in `slopes` [3, H, 3 W]."""
    height, size = x.shape
    blurred = np.zeros((4, y1 - y0 + 2 * RADIUS, size), x.dtype)
    padded = np.zeros((4, size + 2 * PAD), x.dtype)
    for row in range(max(y0 - RADIUS, 0), min(y1 + RADIUS, height)):
        _products(x[row], y[row], padded[:, PAD : PAD + size])
        for k in range(4):
            _blur_row(padded[k], taps, blurred[k, row - y0 + RADIUS])
    moments = np.empty((4, size), x.dtype)
    for row in range(y0, y1):
        for k in range(4):
            _blur_column(blurred[k, row - y0 : row - y0 + 11], taps, moments[k])
        totals[row] = _similarity_row(moments, c1, c2, slopes[:, row])


@numba.njit(fastmath=FAST, cache=True)
def _combine(parts, x, y, out):
    """Gradient of one row from the blurred slopes [3, 3 W]."""
    two = x.dtype.type(2)
    for i in range(np.uintp(out.shape[0])):
        out[i] = parts[0, i] + two * x[i] * parts[1, i] + y[i] * parts[2, i]


@numba.njit(fastmath=FAST, cache=True)
def _gradient_strip(x, y, taps, y0, y1, slopes, gradient):
    """d(sum of SSIM)/dx over rows y0..y1: the slopes blurred once more, since the window is symmetric."""
    height, size = x.shape
    blurred = np.zeros((3, y1 - y0 + 2 * RADIUS, size), x.dtype)
    padded = np.zeros(size + 2 * PAD, x.dtype)
    for row in range(max(y0 - RADIUS, 0), min(y1 + RADIUS, height)):
        for k in range(3):
            for i in range(size):
                padded[PAD + i] = slopes[k, row, i]
            _blur_row(padded, taps, blurred[k, row - y0 + RADIUS])
    parts = np.empty((3, size), x.dtype)
    for row in range(y0, y1):
        for k in range(3):
            _blur_column(blurred[k, row - y0 : row - y0 + 11], taps, parts[k])
        _combine(parts, x[row], y[row], gradient[row])


@numba.njit(parallel=True, cache=True)
def _similarity(x, y, taps, c1, c2, slopes, totals):
    """Row sums of SSIM [B, H] and slopes [B, 3, H, 3 W] of [B, H, 3 W] images."""
    height = x.shape[1]
    strips = (height + ROWS - 1) // ROWS
    for job in numba.prange(x.shape[0] * strips):
        b, y0 = job // strips, (job % strips) * ROWS
        _moments_strip(x[b], y[b], taps, y0, min(y0 + ROWS, height), c1, c2, slopes[b], totals[b])


@numba.njit(parallel=True, cache=True)
def _gradient(x, y, taps, slopes, gradient):
    """Gradient [B, H, 3 W] of the sum of SSIM with respect to x."""
    height = x.shape[1]
    strips = (height + ROWS - 1) // ROWS
    for job in numba.prange(x.shape[0] * strips):
        b, y0 = job // strips, (job % strips) * ROWS
        _gradient_strip(x[b], y[b], taps, y0, min(y0 + ROWS, height), slopes[b], gradient[b])


class _SSIMSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx, rendered: Tensor, target: Tensor) -> Tensor:
        x = rendered.detach().contiguous().flatten(2).numpy()
        y = target.detach().contiguous().flatten(2).numpy()
        taps = gaussian_window(rendered.dtype).numpy()
        batch, height, size = x.shape
        slopes, totals = np.empty((batch, 3, height, size), x.dtype), np.empty((batch, height), x.dtype)
        _similarity(x, y, taps, x.dtype.type(C1), x.dtype.type(C2), slopes, totals)
        if ctx.needs_input_grad[0]:
            gradient = np.empty_like(x)
            _gradient(x, y, taps, slopes, gradient)
            ctx.save_for_backward(torch.from_numpy(gradient).view_as(rendered))
        return torch.tensor(totals.sum(dtype=np.float64), dtype=rendered.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:
        return grad * ctx.saved_tensors[0], None


def ssim_sum_numba(rendered: Tensor, target: Tensor) -> Tensor:
    """Sum of SSIM over all pixels and channels, with a gradient to `rendered` only.

    Args:
        rendered: [B, H, W, 3] CPU images in [0, 1], float32 or float64.
        target: likewise, same type.
    """
    return _SSIMSum.apply(rendered, target)
