"""Small rigid motions of all Gaussians of a frame, equivalent to corrections of the head pose."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from talksplat.geometry.rotations import matrix_to_quat, rotvec_to_matrix
from talksplat.types import Gaussians

MOTION = 6  # rotation vector (rad) and translation (dm), in the head's axes
UNITS = (0.005, 0.005, 0.005, 0.01, 0.01, 0.01)  # rad and dm: a correction of the usual size


def motion_matrices(motion: Float[Tensor, "frame 6"]) -> Float[Tensor, "frame 4 4"]:
    """Rigid motions from rotation vectors (rad) and translations (dm)."""
    upper = torch.cat([rotvec_to_matrix(motion[:, :3]), motion[:, 3:, None]], dim=2)
    last = torch.tensor([0.0, 0.0, 0.0, 1.0], device=upper.device).expand(len(upper), 1, 4)
    return torch.cat([upper, last], dim=1)


def move_gaussians(gaussians: Gaussians, motion: Float[Tensor, "frame 6"]) -> Gaussians:
    """Gaussians of each frame moved rigidly; colours are not re-evaluated for the new directions."""
    matrices = motion_matrices(motion)
    rotation, shift = matrices[:, :3, :3], matrices[:, None, :3, 3]
    turned = multiply(matrix_to_quat(rotation)[:, None], gaussians.quats)
    return replace(gaussians, means=gaussians.means @ rotation.mT + shift, quats=turned)


def multiply(first: Float[Tensor, "*#batch 4"], second: Float[Tensor, "*#batch 4"]) -> Float[Tensor, "*batch 4"]:
    """Product of quaternions wxyz: the rotation `second`, then `first`."""
    w1, x1, y1, z1 = first.unbind(-1)
    w2, x2, y2, z2 = second.unbind(-1)
    return torch.stack(
        [
            w1 * w2 - x1 * x2 - y1 * y2 - z1 * z2,
            w1 * x2 + x1 * w2 + y1 * z2 - z1 * y2,
            w1 * y2 - x1 * z2 + y1 * w2 + z1 * x2,
            w1 * z2 + x1 * y2 - y1 * x2 + z1 * w2,
        ],
        dim=-1,
    )
