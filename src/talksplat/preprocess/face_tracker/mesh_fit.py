"""The subject's mesh and the focal length from keyframes: Levenberg-Marquardt, poses eliminated by a Schur complement."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from talksplat.preprocess.face_tracker.bundle import Problem, linearize, residuals, robust_cost


@dataclass
class Priors:
    """What holds where the clip does not say: on nearly frontal clips depth and focal length are hardly observable."""

    mesh: Float[Tensor, "point 3"]  # dm
    mesh_deviation: float  # dm, standard deviation of each coordinate
    log_focal: float
    log_focal_deviation: float

    def cost(self, mesh: Tensor, log_focal: Tensor) -> Tensor:
        """Negative log probability."""
        shape = ((mesh - self.mesh) / self.mesh_deviation).square().sum()
        return 0.5 * (shape + ((log_focal - self.log_focal) / self.log_focal_deviation) ** 2)


def choose_keyframes(poses: Float[np.ndarray, "frame 6"], count: int) -> Int[np.ndarray, " key"]:
    """Positions of frames with poses that differ most: farthest-point selection in rotation, from the median pose."""
    if len(poses) <= count:
        return np.arange(len(poses))
    angles = poses[:, :3]
    first = int(np.argmin(np.linalg.norm(angles - np.median(angles, axis=0), axis=1)))
    chosen, distance = [first], np.linalg.norm(angles - angles[first], axis=1)
    while len(chosen) < count // 2:
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, np.linalg.norm(angles - angles[chosen[-1]], axis=1))
    even = np.linspace(0, len(poses) - 1, count - len(chosen)).round().astype(int)
    return np.unique(np.concatenate([chosen, even]))


def fit_mesh(
    problem: Problem, priors: Priors, poses: Float[Tensor, "frame 6"], iterations: int, tolerance: float = 1e-3
) -> tuple[Float[Tensor, "point 3"], Float[Tensor, "frame 6"], Tensor]:
    """Mesh (dm), poses and log focal length that explain the keyframes of `problem`, starting from the priors' means."""
    everything = slice(0, len(poses))
    mesh = priors.mesh.clone()
    log_focal = torch.tensor(priors.log_focal, dtype=mesh.dtype)

    def cost_of(mesh: Tensor, poses: Tensor, log_focal: Tensor) -> float:
        data = robust_cost(problem, residuals(problem, everything, mesh, poses, log_focal)).sum()
        cost = float(data + priors.cost(mesh, log_focal))
        return cost if math.isfinite(cost) else math.inf

    damping, cost = 1e-3, cost_of(mesh, poses, log_focal)
    for _ in range(iterations):
        system = linearize(problem, everything, mesh, poses, log_focal)
        while damping < 1e6:
            steps = _schur_step(system, priors, mesh, log_focal, damping)
            candidate = (mesh + steps[0], poses + steps[1], log_focal + steps[2])
            new_cost = cost_of(*candidate)
            if new_cost < cost:
                break
            damping *= 5
        else:
            break
        (mesh, poses, log_focal), gain = candidate, (cost - new_cost) / cost
        cost, damping = new_cost, max(damping / 5, 1e-9)
        if gain < tolerance:
            break
    return mesh, poses, log_focal


def fit_points(
    problem: Problem,
    priors: Priors,
    mesh: Float[Tensor, "point 3"],
    poses: Float[Tensor, "frame 6"],
    log_focal: Tensor,
    iterations: int = 5,
) -> Float[Tensor, "point 3"]:
    """Mesh with the poses held: where each landmark is on average, those that move included (Gauss-Newton by point)."""
    for _ in range(iterations):
        system = linearize(problem, slice(0, len(poses)), mesh, poses, log_focal)
        point, residual = system["point"], system["residual"]
        hessian = (
            torch.einsum("fnki,fnkj->nij", point, point) + torch.eye(3, dtype=mesh.dtype) / priors.mesh_deviation**2
        )
        gradient = torch.einsum("fnki,fnk->ni", point, residual) + (mesh - priors.mesh) / priors.mesh_deviation**2
        mesh = mesh - torch.linalg.solve(hessian, gradient)
    return mesh


def _schur_step(
    system: dict[str, Tensor], priors: Priors, mesh: Tensor, log_focal: Tensor, damping: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Steps of mesh, poses and log focal length of the damped normal equations."""
    frames, count = system["residual"].shape[:2]
    size = 3 * count + 1
    pose, point, focal, residual = system["pose"], system["point"], system["focal"], system["residual"]

    hessian = torch.zeros(size, size, dtype=mesh.dtype)
    blocks = torch.einsum("fnki,fnkj->nij", point, point)
    blocks = blocks + torch.eye(3, dtype=mesh.dtype) / priors.mesh_deviation**2
    index = torch.arange(3 * count).reshape(count, 3)
    hessian[index[:, :, None], index[:, None, :]] = blocks
    cross = torch.einsum("fnki,fnk->ni", point, focal).flatten()
    hessian[:-1, -1] = hessian[-1, :-1] = cross
    hessian[-1, -1] = focal.square().sum() + 1 / priors.log_focal_deviation**2
    gradient = torch.cat(
        [
            (torch.einsum("fnki,fnk->ni", point, residual) + (mesh - priors.mesh) / priors.mesh_deviation**2).flatten(),
            ((focal * residual).sum() + (log_focal - priors.log_focal) / priors.log_focal_deviation**2)[None],
        ]
    )
    hessian.diagonal().mul_(1 + damping)

    pose_hessian = torch.einsum("fnki,fnkj->fij", pose, pose)
    pose_hessian = pose_hessian + damping * torch.diag_embed(pose_hessian.diagonal(dim1=-2, dim2=-1))
    pose_gradient = torch.einsum("fnki,fnk->fi", pose, residual)
    shared = torch.cat(
        [
            torch.einsum("fnki,fnkj->finj", pose, point).reshape(frames, 6, 3 * count),
            torch.einsum("fnki,fnk->fi", pose, focal)[..., None],
        ],
        dim=-1,
    )
    factor = torch.linalg.cholesky(pose_hessian)
    half = torch.linalg.solve_triangular(factor, shared, upper=False).reshape(frames * 6, size)
    half_gradient = torch.linalg.solve_triangular(factor, pose_gradient[..., None], upper=False).reshape(frames * 6)
    schur = hessian - half.T @ half
    step = torch.cholesky_solve((half.T @ half_gradient - gradient)[:, None], torch.linalg.cholesky(schur))[:, 0]
    pose_step = torch.cholesky_solve(-(pose_gradient[..., None] + shared @ step[:, None]), factor)[..., 0]
    return step[:-1].reshape(count, 3), pose_step, step[-1]
