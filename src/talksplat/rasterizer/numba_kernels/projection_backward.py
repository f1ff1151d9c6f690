"""Backward pass of the EWA projection in closed form, recomputing the forward values."""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from talksplat.rasterizer.numba_kernels.floats import F32
from talksplat.rasterizer.numba_kernels.projection import (
    BLOCK,
    clamp,
    load_camera,
    scaled_axes,
    screen_axes,
    to_camera,
)
from talksplat.rasterizer.numba_kernels.runtime import function, parallel_kernel
from talksplat.rasterizer.numba_kernels.vectors import (
    ONE,
    TWO,
    combine,
    cross,
    dot,
    rotation_rows,
    rotation_vjp,
    row_times,
)

ZERO = F32(0.0)


@function
def _conic_vjp(a, b, eps2d, v_conic):
    """Gradients for the screen axes a, b of the conic (yy, -xy, xx) / determinant.

    It goes through determinant = |a x b|^2 + eps (|a|^2 + |b|^2) + eps^2 as the forward pass does: the shorter form
    -Q G Q loses the digits of a needle's long axis.
    """
    aa, ab, bb = dot(a, a), dot(a, b), dot(b, b)
    normal = cross(a, b)
    inverse = ONE / (dot(normal, normal) + eps2d * (aa + bb) + eps2d * eps2d)
    v_determinant = -inverse * inverse * (v_conic[0] * (bb + eps2d) - v_conic[1] * ab + v_conic[2] * (aa + eps2d))
    v_aa = inverse * v_conic[2] + eps2d * v_determinant
    v_bb = inverse * v_conic[0] + eps2d * v_determinant
    v_ab = -inverse * v_conic[1]
    v_normal = (TWO * v_determinant * normal[0], TWO * v_determinant * normal[1], TWO * v_determinant * normal[2])
    v_a, v_b = combine(TWO * v_aa, a, v_ab, b), combine(TWO * v_bb, b, v_ab, a)
    return combine(ONE, v_a, ONE, cross(b, v_normal)), combine(ONE, v_b, ONE, cross(v_normal, a))


@function
def _perspective_vjp(point, focal, limits, v_mean2d, camera_axes, v_a, v_b):
    """Gradient for the camera point, through the pixel position and through the screen axes."""
    x, y, z = point
    inverse_z = ONE / z
    slope_x, slope_y = x * inverse_z, y * inverse_z
    clamped_x, clamped_y = clamp(slope_x, limits[0]), clamp(slope_y, limits[1])
    fx, fy = focal[0], focal[1]
    v_j02, v_j12 = dot(camera_axes[2], v_a), dot(camera_axes[2], v_b)
    v_inverse_z = fx * (dot(camera_axes[0], v_a) - clamped_x * v_j02) + fy * (
        dot(camera_axes[1], v_b) - clamped_y * v_j12
    )
    v_slope_x, v_slope_y = fx * v_mean2d[0], fy * v_mean2d[1]
    if clamped_x == slope_x:
        v_slope_x -= fx * inverse_z * v_j02
    if clamped_y == slope_y:
        v_slope_y -= fy * inverse_z * v_j12
    v_inverse_z += x * v_slope_x + y * v_slope_y
    return (inverse_z * v_slope_x, inverse_z * v_slope_y, -inverse_z * inverse_z * v_inverse_z)


@function
def _gaussian_vjp(mean, quat, scale, eps2d, v_mean2d, v_conic, camera):
    """Gradients for (mean, quat, scale), and for the rotation rows and translation of the view matrix."""
    view, focal, limits = camera
    point = to_camera(view, mean)
    inverse_z = ONE / point[2]
    slopes = (clamp(point[0] * inverse_z, limits[0]), clamp(point[1] * inverse_z, limits[1]))
    norm = ONE / math.sqrt(quat[0] * quat[0] + quat[1] * quat[1] + quat[2] * quat[2] + quat[3] * quat[3])
    w, x, y, z = quat[0] * norm, quat[1] * norm, quat[2] * norm, quat[3] * norm
    rotation = rotation_rows(w, x, y, z)
    axes = scaled_axes(rotation, scale)
    camera_axes = (row_times(view[0], axes), row_times(view[1], axes), row_times(view[2], axes))
    a, b = screen_axes(camera_axes, slopes, focal, inverse_z)

    v_a, v_b = _conic_vjp(a, b, eps2d, v_conic)
    v_point = _perspective_vjp(point, focal, limits, v_mean2d, camera_axes, v_a, v_b)
    scale_x, scale_y = focal[0] * inverse_z, focal[1] * inverse_z
    zero = (ZERO, ZERO, ZERO)
    v_m0, v_m1 = combine(scale_x, v_a, ZERO, zero), combine(scale_y, v_b, ZERO, zero)
    v_m2 = combine(-scale_x * slopes[0], v_a, -scale_y * slopes[1], v_b)

    columns = ((view[0][0], view[1][0], view[2][0]), (view[0][1], view[1][1], view[2][1]),
               (view[0][2], view[1][2], view[2][2]))  # fmt: skip
    v_camera_axes = (v_m0, v_m1, v_m2)
    v_axes = (row_times(columns[0], v_camera_axes), row_times(columns[1], v_camera_axes),
              row_times(columns[2], v_camera_axes))  # fmt: skip
    v_scale = row_dots(rotation, v_axes)
    v_w, v_x, v_y, v_z = rotation_vjp(w, x, y, z, scaled_axes(v_axes, scale))
    along = w * v_w + x * v_x + y * v_y + z * v_z
    v_quat = (norm * (v_w - along * w), norm * (v_x - along * x), norm * (v_y - along * y), norm * (v_z - along * z))
    v_mean = (dot(columns[0], v_point), dot(columns[1], v_point), dot(columns[2], v_point))
    v_view = (view_row_vjp(v_m0, axes, v_point[0], mean), view_row_vjp(v_m1, axes, v_point[1], mean),
              view_row_vjp(v_m2, axes, v_point[2], mean))  # fmt: skip
    return v_mean, v_quat, v_scale, v_view, v_point


@function
def row_dots(a, b):
    """Column-wise inner products of two 3x3 matrices given as rows."""
    return (
        a[0][0] * b[0][0] + a[1][0] * b[1][0] + a[2][0] * b[2][0],
        a[0][1] * b[0][1] + a[1][1] * b[1][1] + a[2][1] * b[2][1],
        a[0][2] * b[0][2] + a[1][2] * b[1][2] + a[2][2] * b[2][2],
    )


@function
def view_row_vjp(v_row, axes, v_coordinate, mean):
    """Gradient for one row of the view rotation, which turns the axes and the mean."""
    return (
        dot(v_row, axes[0]) + v_coordinate * mean[0],
        dot(v_row, axes[1]) + v_coordinate * mean[1],
        dot(v_row, axes[2]) + v_coordinate * mean[2],
    )


@parallel_kernel
def project_vjp(means, quats, scales, viewmat, K, width, height, eps2d, radii, v_means2d, v_conics, outputs):
    """Fill `outputs` = (v_means, v_quats, v_scales) and return the gradient [3, 4] for the view matrix."""
    v_means, v_quats, v_scales = outputs
    count = means.shape[0]
    blocks = (count + BLOCK - 1) // BLOCK
    partial = np.zeros((blocks, 3, 4), np.float32)
    for block in prange(blocks):
        camera = load_camera(viewmat, K, width, height)
        start = np.int64(block) * BLOCK
        for n in range(start, min(start + BLOCK, count)):
            if radii[n, 0] == 0:
                v_means[n, :], v_quats[n, :], v_scales[n, :] = ZERO, ZERO, ZERO
                continue
            mean = (means[n, 0], means[n, 1], means[n, 2])
            quat = (quats[n, 0], quats[n, 1], quats[n, 2], quats[n, 3])
            scale = (scales[n, 0], scales[n, 1], scales[n, 2])
            v_conic = (v_conics[n, 0], v_conics[n, 1], v_conics[n, 2])
            v_mean, v_quat, v_scale, v_view, v_point = _gaussian_vjp(
                mean, quat, scale, eps2d, (v_means2d[n, 0], v_means2d[n, 1]), v_conic, camera
            )
            v_quats[n, 0], v_quats[n, 1], v_quats[n, 2], v_quats[n, 3] = v_quat
            v_means[n, 0], v_means[n, 1], v_means[n, 2] = v_mean
            v_scales[n, 0], v_scales[n, 1], v_scales[n, 2] = v_scale
            for i in range(3):
                partial[block, i, 3] += v_point[i]
                for j in range(3):
                    partial[block, i, j] += v_view[i][j]
    return partial
