"""Pinhole cameras in OpenCV axes and the head poses of the shared data layout.

The shared layout stores a head pose as euler angles (a, b, c) in radians and a translation t in decimetres, with
R = Rx(a) Ry(b) Rz(-c) and world-to-camera = diag(1, -1, -1) [R | t] (GaussianTalker's convention: the head is the
world, the camera moves).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

OPENGL_TO_OPENCV = (1.0, -1.0, -1.0)


def intrinsics(focal: float, width: int, height: int) -> Float[Tensor, "3 3"]:
    """Camera matrix with `focal` in pixels and the principal point at the image centre."""
    return torch.tensor([[focal, 0.0, width / 2], [0.0, focal, height / 2], [0.0, 0.0, 1.0]])


def project(
    points: Float[Tensor, "*#batch point 3"], viewmats: Float[Tensor, "*#batch 4 4"], Ks: Float[Tensor, "*#batch 3 3"]
) -> tuple[Float[Tensor, "*batch point 2"], Float[Tensor, "*batch point"]]:
    """Pixels and depths (dm, positive in front of the camera) of world points."""
    camera = points @ viewmats[..., :3, :3].mT + viewmats[..., None, :3, 3]
    depth = camera[..., 2]
    image = camera @ Ks.mT
    return image[..., :2] / depth[..., None], depth


def _axis_rotation(angle: Float[Tensor, " frame"], axis: int) -> Float[Tensor, "frame 3 3"]:
    matrix = torch.zeros(*angle.shape, 3, 3, dtype=angle.dtype, device=angle.device)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix[..., axis, axis] = 1
    matrix[..., i, i] = matrix[..., j, j] = torch.cos(angle)
    matrix[..., i, j], matrix[..., j, i] = -torch.sin(angle), torch.sin(angle)
    return matrix


def viewmat_from_euler_trans(
    euler: Float[Tensor, "frame 3"], trans: Float[Tensor, "frame 3"]
) -> Float[Tensor, "frame 4 4"]:
    """World-to-camera matrices of head poses (radians, dm)."""
    a, b, c = euler.unbind(-1)
    rotation = _axis_rotation(a, 0) @ _axis_rotation(b, 1) @ _axis_rotation(-c, 2)
    flip = torch.tensor(OPENGL_TO_OPENCV, dtype=euler.dtype, device=euler.device)
    viewmats = torch.eye(4, dtype=euler.dtype, device=euler.device).repeat(len(euler), 1, 1)
    viewmats[:, :3, :3] = flip[:, None] * rotation
    viewmats[:, :3, 3] = flip * trans
    return viewmats


def euler_trans_from_viewmat(
    viewmats: Float[Tensor, "frame 4 4"],
) -> tuple[Float[Tensor, "frame 3"], Float[Tensor, "frame 3"]]:
    """Inverse of `viewmat_from_euler_trans`, for heads turned by less than 90 degrees to the side."""
    flip = torch.tensor(OPENGL_TO_OPENCV, dtype=viewmats.dtype, device=viewmats.device)
    rotation = flip[:, None] * viewmats[:, :3, :3]
    b = torch.asin(rotation[:, 0, 2].clamp(-1, 1))
    a = torch.atan2(-rotation[:, 1, 2], rotation[:, 2, 2])
    c = torch.atan2(rotation[:, 0, 1], rotation[:, 0, 0])
    return torch.stack([a, b, c], -1), flip * viewmats[:, :3, 3]


def camera_centers(viewmats: Float[Tensor, "*batch 4 4"]) -> Float[Tensor, "*batch 3"]:
    """Camera positions in the world (dm)."""
    return -(viewmats[..., :3, :3].mT @ viewmats[..., :3, 3:]).squeeze(-1)
