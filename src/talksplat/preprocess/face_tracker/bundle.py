"""Bundle adjustment of one mesh, one focal length and one pose a frame, in float64 on the CPU.

Camera in OpenGL axes here: X = R(w) P + t with z negative in front of the camera, u = cx - f X / Z, v = cy + f Y / Z.
Poses are rotation vectors w and translations t (dm).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.linalg import solveh_banded
from torch import Tensor

from talksplat.geometry.rotations import rotvec_to_matrix

CHUNK = 256  # frames whose Jacobians are held at once


@dataclass
class Problem:
    """Observed landmarks and what is assumed about them."""

    pixels: Float[Tensor, "frame point 2"]  # from the image centre, x right, y down
    weights: Float[Tensor, " point"]
    huber: float  # pixels; errors above count linearly
    noise: float  # pixels; scales the data against the priors


def _skew(vectors: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    x, y, z = vectors.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))


def left_jacobian(vectors: Float[Tensor, "frame 3"]) -> Float[Tensor, "frame 3 3"]:
    """J with exp(w + d) = exp(J d) exp(w) to first order in d."""
    angle = vectors.norm(dim=-1)[:, None, None].clamp_min(1e-6)
    skew = _skew(vectors)
    eye = torch.eye(3, dtype=vectors.dtype)
    return eye + (1 - angle.cos()) / angle**2 * skew + (angle - angle.sin()) / angle**3 * skew @ skew


def camera_points(mesh: Tensor, poses: Float[Tensor, "frame 6"]) -> tuple[Tensor, Tensor]:
    """Points in the camera [F,N,3] and the rotated mesh [F,N,3]."""
    rotated = mesh @ rotvec_to_matrix(poses[:, :3]).mT
    return rotated + poses[:, None, 3:], rotated


def residuals(problem: Problem, rows: slice, mesh: Tensor, poses: Tensor, log_focal: Tensor) -> Tensor:
    """Projected minus observed pixels [F,N,2]."""
    points, _ = camera_points(mesh, poses[rows])
    depth = -points[..., 2:]
    projected = log_focal.exp() * points[..., :2] / depth * torch.tensor([1.0, -1.0], dtype=mesh.dtype)
    return projected - problem.pixels[rows]


def robust_cost(problem: Problem, residual: Tensor) -> Tensor:
    """Huber cost of pixel distances, weighted, in units of the noise: one number for each frame."""
    distance = residual.norm(dim=-1)
    huber = torch.where(distance < problem.huber, distance**2, problem.huber * (2 * distance - problem.huber))
    return 0.5 * (problem.weights * huber).sum(-1) / problem.noise**2


def linearize(problem: Problem, rows: slice, mesh: Tensor, poses: Tensor, log_focal: Tensor) -> dict[str, Tensor]:
    """Weighted residual r [F,N,2], Jacobians by pose [F,N,2,6], by point [F,N,2,3] and by log focal [F,N,2]."""
    pose = poses[rows]
    rotation = rotvec_to_matrix(pose[:, :3])
    points, rotated = camera_points(mesh, pose)
    focal, depth = log_focal.exp(), -points[..., 2]
    u, v = focal * points[..., 0] / depth, -focal * points[..., 1] / depth
    residual = torch.stack([u, v], -1) - problem.pixels[rows]
    distance = residual.norm(dim=-1).clamp_min(1e-9)
    scale = (problem.weights * (problem.huber / distance).clamp(max=1.0)).sqrt() / problem.noise
    zero = torch.zeros_like(u)
    by_camera = torch.stack([focal / depth, zero, u / depth, zero, -focal / depth, v / depth], -1).unflatten(-1, (2, 3))
    by_camera = by_camera * scale[..., None, None]
    by_angle = -by_camera @ _skew(rotated) @ left_jacobian(pose[:, :3])[:, None]
    return {
        "residual": residual * scale[..., None],
        "pose": torch.cat([by_angle, by_camera], -1),
        "point": by_camera @ rotation[:, None],
        "focal": torch.stack([u, v], -1) * scale[..., None],
    }


def pose_normal_equations(
    problem: Problem, mesh: Tensor, poses: Tensor, log_focal: Tensor
) -> tuple[Float[Tensor, "frame 6 6"], Float[Tensor, "frame 6"]]:
    """J^T J and J^T r of each pose with the mesh held."""
    hessians, gradients = [], []
    for start in range(0, len(poses), CHUNK):
        system = linearize(problem, slice(start, start + CHUNK), mesh, poses, log_focal)
        jacobian, residual = system["pose"].flatten(1, 2), system["residual"].flatten(1, 2)
        hessians.append(jacobian.mT @ jacobian)
        gradients.append((jacobian.mT @ residual[..., None]).squeeze(-1))
    return torch.cat(hessians), torch.cat(gradients)


def second_differences(frame_ids: np.ndarray) -> Tensor:
    """Positions of frames with both neighbours present: [T] rows i meaning (i-1, i, i+1)."""
    steps = np.diff(frame_ids)
    return torch.as_tensor(np.flatnonzero((steps[:-1] == 1) & (steps[1:] == 1)) + 1)


def solve_poses(
    problem: Problem,
    frame_ids: np.ndarray,
    mesh: Tensor,
    poses: Float[Tensor, "frame 6"],
    log_focal: Tensor,
    smoothness: float,
    iterations: int,
) -> Float[Tensor, "frame 6"]:
    """Poses with the mesh held: Gauss-Newton over the whole clip, banded, linear in the number of frames.

    The second difference of the poses is penalised in the metric of the average pose Hessian, i.e. by the pixels that it
    moves; `smoothness` is relative to one frame's data (Whittaker smoothing).
    """
    middle = second_differences(frame_ids)
    for iteration in range(iterations):
        hessian, gradient = pose_normal_equations(problem, mesh, poses, log_focal)
        if iteration < 3:  # far from the solution: a damped step for each frame alone
            damped = hessian + 1e-3 * torch.diag_embed(hessian.diagonal(dim1=-2, dim2=-1))
            step = torch.linalg.solve(damped, -gradient)
        else:
            step = _smooth_step(hessian, gradient, poses, middle, smoothness)
        poses = poses + step
    return poses


def _smooth_step(hessian: Tensor, gradient: Tensor, poses: Tensor, middle: Tensor, smoothness: float) -> Tensor:
    count = len(poses)
    metric = smoothness * hessian.median(0).values
    blocks = torch.zeros(count, 3, 6, 6, dtype=poses.dtype)  # diagonal, first and second block above it
    blocks[:, 0] = hessian
    gradient = gradient.clone()
    difference = poses[middle - 1] - 2 * poses[middle] + poses[middle + 1]
    for offset, factor in ((-1, 1.0), (0, -2.0), (1, 1.0)):
        gradient.index_add_(0, middle + offset, factor * difference @ metric)
        for other, second in ((-1, 1.0), (0, -2.0), (1, 1.0)):
            if other >= offset:
                term = (factor * second * metric).expand(len(middle), 6, 6)
                blocks[:, other - offset].index_add_(0, middle + offset, term)
    banded = _banded(blocks.numpy())
    return torch.as_tensor(solveh_banded(banded, -gradient.flatten().numpy())).reshape(count, 6)


def _banded(blocks: Float[np.ndarray, "frame 3 6 6"]) -> Float[np.ndarray, "18 column"]:
    """Upper banded storage of a symmetric matrix of 6x6 blocks on the diagonal and two block diagonals above."""
    count = len(blocks)
    banded = np.zeros((18, 6 * count))
    for block in range(3):
        for i in range(6):
            for j in range(6):
                above = 6 * block + j - i
                if above >= 0:
                    columns = np.arange(count - block) * 6 + 6 * block + j
                    banded[17 - above, columns] += blocks[: count - block, block, i, j]
    return banded
