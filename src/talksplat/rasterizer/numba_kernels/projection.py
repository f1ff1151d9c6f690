"""EWA projection of one frame's Gaussians; the same formulas as `talksplat.rasterizer.projection`."""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from talksplat.rasterizer import base
from talksplat.rasterizer.numba_kernels.floats import F32
from talksplat.rasterizer.numba_kernels.runtime import function, parallel_kernel
from talksplat.rasterizer.numba_kernels.vectors import ONE, combine, cross, dot, rotation_rows, row_times
from talksplat.rasterizer.projection import MAX_RADIUS

ALPHA_MIN, EXTENT, MAX_RADIUS_F32 = F32(base.ALPHA_MIN), F32(base.EXTENT_SIGMAS), F32(MAX_RADIUS)
BLOCK = 512  # Gaussians a work item; fixed, so that sums over blocks do not depend on the number of threads


@function
def load_camera(viewmat, K, width, height):
    """Rows of the view matrix, (fx, fy, cx, cy), and the limits of x/z and y/z (1.3 times the frustum)."""
    view = (
        (viewmat[0, 0], viewmat[0, 1], viewmat[0, 2], viewmat[0, 3]),
        (viewmat[1, 0], viewmat[1, 1], viewmat[1, 2], viewmat[1, 3]),
        (viewmat[2, 0], viewmat[2, 1], viewmat[2, 2], viewmat[2, 3]),
    )
    fx, fy, cx, cy = K[0, 0], K[1, 1], K[0, 2], K[1, 2]
    margin_x, margin_y = F32(0.15) * F32(width) / fx, F32(0.15) * F32(height) / fy
    limits = (
        (-cx / fx - margin_x, (F32(width) - cx) / fx + margin_x),
        (-cy / fy - margin_y, (F32(height) - cy) / fy + margin_y),
    )
    return view, (fx, fy, cx, cy), limits


@function
def to_camera(view, mean):
    """Camera coordinates of a world point."""
    return (dot(view[0], mean) + view[0][3], dot(view[1], mean) + view[1][3], dot(view[2], mean) + view[2][3])


@function
def clamp(value, limits):
    """`value` within (low, high)."""
    value = value if value > limits[0] else limits[0]
    return value if value < limits[1] else limits[1]


@function
def scaled_axes(rotation, scale):
    """Rotation times diag(scale), as rows."""
    return (
        (rotation[0][0] * scale[0], rotation[0][1] * scale[1], rotation[0][2] * scale[2]),
        (rotation[1][0] * scale[0], rotation[1][1] * scale[1], rotation[1][2] * scale[2]),
        (rotation[2][0] * scale[0], rotation[2][1] * scale[1], rotation[2][2] * scale[2]),
    )


@function
def screen_axes(camera_axes, slopes, focal, inverse_z):
    """The two rows of J R_view R S, whose product with its transpose is the covariance in pixels."""
    a = combine(focal[0] * inverse_z, camera_axes[0], -focal[0] * inverse_z * slopes[0], camera_axes[2])
    b = combine(focal[1] * inverse_z, camera_axes[1], -focal[1] * inverse_z * slopes[1], camera_axes[2])
    return a, b


@function
def _project_one(mean, quat, scale, opacity, camera, width, height, near_plane, eps2d):
    """(drawn, x, y, A, B, C, depth, radius x, radius y) of one Gaussian."""
    view, focal, limits = camera
    nothing = F32(0.0)
    culled = (False, nothing, nothing, nothing, nothing, nothing, nothing, nothing, nothing)
    x, y, z = to_camera(view, mean)
    norm = quat[0] * quat[0] + quat[1] * quat[1] + quat[2] * quat[2] + quat[3] * quat[3]
    if not (z >= near_plane and opacity >= ALPHA_MIN and norm > nothing):
        return culled
    norm = ONE / math.sqrt(norm)
    inverse_z = ONE / z
    slopes = (clamp(x * inverse_z, limits[0]), clamp(y * inverse_z, limits[1]))
    axes = scaled_axes(rotation_rows(quat[0] * norm, quat[1] * norm, quat[2] * norm, quat[3] * norm), scale)
    camera_axes = (row_times(view[0], axes), row_times(view[1], axes), row_times(view[2], axes))
    a, b = screen_axes(camera_axes, slopes, focal, inverse_z)
    aa, ab, bb = dot(a, a), dot(a, b), dot(b, b)
    normal = cross(a, b)
    determinant = dot(normal, normal) + eps2d * (aa + bb) + eps2d * eps2d
    u, v = focal[0] * x * inverse_z + focal[2], focal[1] * y * inverse_z + focal[3]
    if not (determinant > nothing and np.isfinite(determinant) and np.isfinite(u + v)):
        return culled
    extent = math.sqrt(F32(2.0) * math.log(opacity / ALPHA_MIN))
    extent = extent if extent < EXTENT else EXTENT
    radius_x = min(F32(math.ceil(extent * math.sqrt(aa + eps2d))), MAX_RADIUS_F32)
    radius_y = min(F32(math.ceil(extent * math.sqrt(bb + eps2d))), MAX_RADIUS_F32)
    inside = u + radius_x > nothing and u - radius_x < F32(width) and v + radius_y > nothing
    if not (inside and v - radius_y < F32(height) and radius_x > nothing and radius_y > nothing):
        return culled
    inverse = ONE / determinant
    return (True, u, v, (bb + eps2d) * inverse, -ab * inverse, (aa + eps2d) * inverse, z, radius_x, radius_y)


@parallel_kernel
def project(means, quats, scales, opacities, colors, viewmat, K, width, height, near_plane, eps2d, outputs):
    """Fill `outputs` = (means2d[N,2], conics[N,3], depths[N], radii[N,2]); zeros where culled."""
    means2d, conics, depths, radii = outputs
    count = means.shape[0]
    for block in prange((count + BLOCK - 1) // BLOCK):
        camera = load_camera(viewmat, K, width, height)
        start = np.int64(block) * BLOCK
        for n in range(start, min(start + BLOCK, count)):
            mean = (means[n, 0], means[n, 1], means[n, 2])
            quat = (quats[n, 0], quats[n, 1], quats[n, 2], quats[n, 3])
            scale = (scales[n, 0], scales[n, 1], scales[n, 2])
            drawn, u, v, ca, cb, cc, depth, radius_x, radius_y = _project_one(
                mean, quat, scale, opacities[n], camera, width, height, near_plane, eps2d
            )
            total = opacities[n]
            for k in range(colors.shape[1]):
                total += colors[n, k]
            drawn = drawn and np.isfinite(total)
            means2d[n, 0], means2d[n, 1] = (u, v) if drawn else (F32(0.0), F32(0.0))
            conics[n, 0], conics[n, 1], conics[n, 2] = (ca, cb, cc) if drawn else (F32(0.0), F32(0.0), F32(0.0))
            depths[n] = depth
            radii[n, 0], radii[n, 1] = (np.int32(radius_x), np.int32(radius_y)) if drawn else (np.int32(0), np.int32(0))
