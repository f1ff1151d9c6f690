"""Small fixed-size vectors and rotations as tuples of float32; compiled into their callers."""

from __future__ import annotations

from talksplat.rasterizer.numba_kernels.floats import F32
from talksplat.rasterizer.numba_kernels.runtime import function

ONE, TWO = F32(1.0), F32(2.0)


@function
def dot(a, b):
    """Inner product of 3-vectors."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@function
def cross(a, b):
    """Cross product of 3-vectors."""
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])


@function
def combine(a, u, b, v):
    """a u + b v for scalars a, b and 3-vectors u, v."""
    return (a * u[0] + b * v[0], a * u[1] + b * v[1], a * u[2] + b * v[2])


@function
def row_times(row, matrix):
    """row . matrix for the first three entries of `row` and a matrix given as three rows."""
    return (
        row[0] * matrix[0][0] + row[1] * matrix[1][0] + row[2] * matrix[2][0],
        row[0] * matrix[0][1] + row[1] * matrix[1][1] + row[2] * matrix[2][1],
        row[0] * matrix[0][2] + row[1] * matrix[1][2] + row[2] * matrix[2][2],
    )


@function
def rotation_rows(w, x, y, z):
    """Rows of the rotation matrix of a unit quaternion."""
    return (
        (ONE - TWO * (y * y + z * z), TWO * (x * y - w * z), TWO * (x * z + w * y)),
        (TWO * (x * y + w * z), ONE - TWO * (x * x + z * z), TWO * (y * z - w * x)),
        (TWO * (x * z - w * y), TWO * (y * z + w * x), ONE - TWO * (x * x + y * y)),
    )


@function
def rotation_vjp(w, x, y, z, g):
    """Gradient for a unit quaternion of the gradient `g` (rows) for its rotation matrix."""
    return (
        TWO * (x * (g[2][1] - g[1][2]) + y * (g[0][2] - g[2][0]) + z * (g[1][0] - g[0][1])),
        TWO * (y * (g[0][1] + g[1][0]) + z * (g[0][2] + g[2][0]) + w * (g[2][1] - g[1][2]))
        - TWO * TWO * x * (g[1][1] + g[2][2]),
        TWO * (x * (g[0][1] + g[1][0]) + z * (g[1][2] + g[2][1]) + w * (g[0][2] - g[2][0]))
        - TWO * TWO * y * (g[0][0] + g[2][2]),
        TWO * (x * (g[0][2] + g[2][0]) + y * (g[1][2] + g[2][1]) + w * (g[1][0] - g[0][1]))
        - TWO * TWO * z * (g[0][0] + g[1][1]),
    )
