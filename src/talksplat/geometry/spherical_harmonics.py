"""Real spherical harmonics up to degree 3, in the order and signs used by 3D Gaussian splatting (Kerbl et al. 2023)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

C0 = 0.28209479177387814
C1 = 0.4886025119029199
C2 = (1.0925484305920792, -1.0925484305920792, 0.31539156525252005, -1.0925484305920792, 0.5462742152960396)
C3 = (
    -0.5900435899266435,
    2.890611442640554,
    -0.4570457994644658,
    0.3731763325901154,
    -0.4570457994644658,
    1.445305721320277,
    -0.5900435899266435,
)


def num_sh_bases(degree: int) -> int:
    """Number of coefficients for each colour channel."""
    return (degree + 1) ** 2


def sh_basis(directions: Float[Tensor, "*batch 3"], degree: int) -> Float[Tensor, "*batch basis"]:
    """Basis functions at unit `directions` (from camera to Gaussian)."""
    if not 0 <= degree <= 3:
        raise ValueError(f"spherical harmonics are defined here for degrees 0 to 3, not {degree}")
    x, y, z = directions.unbind(-1)
    basis = [torch.full_like(x, C0)]
    if degree >= 1:
        basis += [-C1 * y, C1 * z, -C1 * x]
    if degree >= 2:
        xx, yy, zz = x * x, y * y, z * z
        basis += [C2[0] * x * y, C2[1] * y * z, C2[2] * (2 * zz - xx - yy), C2[3] * x * z, C2[4] * (xx - yy)]
    if degree >= 3:
        basis += [
            C3[0] * y * (3 * xx - yy),
            C3[1] * x * y * z,
            C3[2] * y * (4 * zz - xx - yy),
            C3[3] * z * (2 * zz - 3 * xx - 3 * yy),
            C3[4] * x * (4 * zz - xx - yy),
            C3[5] * z * (xx - yy),
            C3[6] * x * (xx - 3 * yy),
        ]
    return torch.stack(basis, dim=-1)


def evaluate_sh(
    coefficients: Float[Tensor, "*#batch basis 3"], directions: Float[Tensor, "*#batch 3"], degree: int
) -> Float[Tensor, "*batch 3"]:
    """Colours of coefficients (at least as many as `degree` needs) seen along unit `directions`; not clamped."""
    basis = sh_basis(directions, degree)
    return (basis[..., None] * coefficients[..., : basis.shape[-1], :]).sum(-2) + 0.5
