"""Pose refinement: small corrections of the training frames' head poses, trained with the avatar.

Unconstrained corrections let the avatar's frame of reference drift away from the tracker's, which costs held-out frames,
whose poses are the tracker's, more than training frames gain. So the part of the corrections that is constant over the
frames or linear in the pose is projected out: it is a gauge freedom, which the avatar can represent itself.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from omegaconf import DictConfig
from torch import Tensor, nn

from talksplat.config import instantiate
from talksplat.errors import UserError
from talksplat.geometry.head_motion import relative_motion
from talksplat.geometry.rigid_motion import MOTION, UNITS, motion_matrices, move_gaussians
from talksplat.subject_format.subject import Subject
from talksplat.types import Gaussians

LEAST_FRAMES = 10


class PoseRefinement(nn.Module):
    """Corrections C of the poses V of a clip's training frames: V C, with C near the identity.

    Args:
        weight: of the mean squared correction in units of the usual size, in the loss.
        smoothness: of its second difference over consecutive frames, in addition to `weight`.
    """

    def __init__(self, weight: float = 1e-3, smoothness: float = 1e-3) -> None:
        super().__init__()
        if weight < 0 or smoothness < 0:
            raise UserError(f"pose_refinement: weight={weight} and smoothness={smoothness} must not be negative")
        self.weight, self.smoothness = weight, smoothness
        self.deltas = nn.Parameter(torch.zeros(0, MOTION))

    @torch.no_grad()
    def setup(
        self, frame_ids: Int[Tensor, " frame"], viewmats: Float[Tensor, "frame 4 4"], train: Int[Tensor, " train"]
    ) -> None:
        """Set the frames of the clip; `train` are positions among them. All corrections start at zero.

        Raises:
            UserError: too few frames for corrections after the projection.
        """
        if len(train) < LEAST_FRAMES:
            raise UserError(
                f"pose_refinement needs {LEAST_FRAMES} training frames, not {len(train)}: switch it off (pose_refinement=none)"
            )
        self.deltas = nn.Parameter(torch.zeros(len(train), MOTION))
        self.register_buffer("units", torch.tensor(UNITS), persistent=False)
        self.register_buffer("train_ids", frame_ids[train].clone(), persistent=False)
        numbers = frame_ids[train]
        self.register_buffer("consecutive", numbers[2:] - numbers[:-2] == 2, persistent=False)
        poses = viewmats[train]
        motion = relative_motion(poses, poses.mean(0).expand_as(poses))
        # orthonormal basis of what is constant or linear in the pose
        columns = torch.cat([torch.ones(len(train), 1), motion / motion.std(0, keepdim=True).clamp_min(1e-6)], dim=1)
        u, s, _ = torch.linalg.svd(columns.double(), full_matrices=False)
        self.register_buffer("gauge", u[:, s > 1e-3 * s[0]].float(), persistent=False)

    def take(self, state_dict: dict[str, Tensor]) -> None:
        """Load the corrections of a checkpoint of the same run."""
        with torch.no_grad():
            self.deltas.copy_(state_dict["poses.deltas"])

    def corrections(self) -> Float[Tensor, "train 6"]:
        """Rotation vectors (rad) and translations (dm) with the gauge projected out."""
        return (self.deltas - self.gauge @ (self.gauge.T @ self.deltas)) * self.units

    def penalty(self) -> Tensor:
        """Addend of the loss."""
        scaled = self.corrections() / self.units
        bend = scaled[2:] - 2 * scaled[1:-1] + scaled[:-2]
        bend = bend[self.consecutive].square().sum() / max(bend.numel(), 1)
        return self.weight * scaled.square().mean() + self.smoothness * bend

    def forward(self, gaussians: Gaussians, frame_ids: Int[Tensor, " frame"]) -> Gaussians:
        """Gaussians of training frames, moved by the corrections of their poses, so that any rasteriser with gradients for
        Gaussians also has them for poses."""
        index = torch.searchsorted(self.train_ids, frame_ids)
        return move_gaussians(gaussians, self.corrections().index_select(0, index))

    @torch.no_grad()
    def refine(self, viewmats: Float[Tensor, "frame 4 4"], train: Int[Tensor, " train"]) -> Float[Tensor, "frame 4 4"]:
        """The clip's poses with those of the training frames corrected, on the CPU."""
        refined = viewmats.clone()
        refined[train] = viewmats[train] @ motion_matrices(self.corrections()).cpu()
        return refined


def open_pose_refinement(config: DictConfig, subject: Subject, device: torch.device) -> PoseRefinement | None:
    """The refinement of a run for its subject; None where it is switched off."""
    if config.pose_refinement is None:
        return None
    poses: PoseRefinement = instantiate(config.pose_refinement)
    poses.setup(*(torch.as_tensor(part) for part in (subject.frame_ids, subject.viewmats, subject.train)))
    return poses.to(device)
