"""Rotations as quaternions (wxyz), matrices and rotation vectors."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def quat_to_matrix(quats: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 3 3"]:
    """Rotation matrices of quaternions wxyz, which are normalised first."""
    w, x, y, z = torch.nn.functional.normalize(quats, dim=-1).unbind(-1)
    rows = (
        torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], -1),
        torch.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], -1),
        torch.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], -1),
    )
    return torch.stack(rows, dim=-2)


def matrix_to_quat(matrices: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 4"]:
    """Unit quaternions wxyz with w >= 0.

    Each of the four components is recovered in its own way; the one with the largest denominator is taken, which keeps
    the result exact near half turns.
    """
    m00, m11, m22 = (matrices[..., i, i] for i in range(3))
    a = matrices[..., 2, 1] - matrices[..., 1, 2]
    b = matrices[..., 0, 2] - matrices[..., 2, 0]
    c = matrices[..., 1, 0] - matrices[..., 0, 1]
    d = matrices[..., 1, 0] + matrices[..., 0, 1]
    e = matrices[..., 0, 2] + matrices[..., 2, 0]
    f = matrices[..., 2, 1] + matrices[..., 1, 2]
    squares = torch.stack([1 + m00 + m11 + m22, 1 + m00 - m11 - m22, 1 - m00 + m11 - m22, 1 - m00 - m11 + m22], -1)
    candidates = torch.stack(
        [
            torch.stack([squares[..., 0], a, b, c], -1),
            torch.stack([a, squares[..., 1], d, e], -1),
            torch.stack([b, d, squares[..., 2], f], -1),
            torch.stack([c, e, f, squares[..., 3]], -1),
        ],
        dim=-2,
    )
    best = squares.argmax(dim=-1)[..., None, None].expand(*squares.shape[:-1], 1, 4)
    quats = torch.nn.functional.normalize(candidates.gather(-2, best).squeeze(-2), dim=-1)
    return torch.where(quats[..., :1] < 0, -quats, quats)


def rotvec_to_matrix(vectors: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Rotation matrices of rotation vectors (axis times angle in radians), differentiable at zero."""
    zero = torch.zeros_like(vectors[..., 0])
    x, y, z = vectors.unbind(-1)
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))
    return torch.linalg.matrix_exp(skew)


def slerp(
    start: Float[Tensor, "*batch 4"], end: Float[Tensor, "*batch 4"], fraction: Float[Tensor, "*batch"]
) -> Float[Tensor, "*batch 4"]:
    """Spherical interpolation of unit quaternions on the shorter arc, `fraction` in [0, 1]."""
    dot = (start * end).sum(-1, keepdim=True)
    end, dot = torch.where(dot < 0, -end, end), dot.abs().clamp(max=1.0)
    angle = torch.acos(dot)
    fraction = fraction[..., None]
    near = angle < 1e-4
    safe = torch.where(near, torch.ones_like(angle), angle)
    first = torch.where(near, 1 - fraction, torch.sin((1 - fraction) * safe) / torch.sin(safe))
    second = torch.where(near, fraction, torch.sin(fraction * safe) / torch.sin(safe))
    return torch.nn.functional.normalize(first * start + second * end, dim=-1)
