"""Recent head motion relative to delayed poses, on which hair that lags behind depends."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

MOTION_WIDTH = 6  # rotation vector (radians) and translation (dm)


def relative_motion(
    viewmats: Float[Tensor, "*#batch 4 4"], reference: Float[Tensor, "*#batch 4 4"]
) -> Float[Tensor, "*batch 6"]:
    """Small motion (w, s) in head coordinates that takes a point x of the head to where it would be at `reference`:
    x + w x x + s, to first order in the rotation between the two.

    `reference` may be a mean of poses, whose rotation part is no exact rotation.
    """
    rotation, there = viewmats[..., :3, :3], reference[..., :3, :3]
    turn = rotation.mT @ there
    skew = (turn - turn.mT) / 2
    angle = torch.stack([skew[..., 2, 1], skew[..., 0, 2], skew[..., 1, 0]], dim=-1)
    shift = rotation.mT @ (reference[..., :3, 3:] - viewmats[..., :3, 3:])
    return torch.cat([angle, shift.squeeze(-1)], dim=-1)


def lagging_poses(
    viewmats: Float[Tensor, "frame 4 4"], times: Float[Tensor, " frame"], lags: Sequence[float]
) -> Float[Tensor, "frame lag 4 4"]:
    """Poses that follow the head's with a delay: exponential means over the past, one for each time constant.

    Args:
        times: seconds, rising.
        lags: time constants in seconds. At the first frame the head is taken to have been at rest.
    """
    constants = torch.as_tensor(list(lags), dtype=torch.float64)
    poses, times = viewmats.double(), times.double()
    followed = torch.empty(len(poses), len(constants), 4, 4, dtype=torch.float64)
    state = poses[:1].repeat(len(constants), 1, 1)
    for frame in range(len(poses)):
        if frame:
            share = 1 - torch.exp(-(times[frame] - times[frame - 1]) / constants)
            state = state + share[:, None, None] * (poses[frame] - state)
        followed[frame] = state
    return followed.to(viewmats.dtype)


def head_motion(
    viewmats: Float[Tensor, "frame 4 4"], times: Float[Tensor, " frame"], lags: Sequence[float]
) -> Float[Tensor, "frame lag 6"]:
    """`relative_motion` of each frame to the poses that lag behind it."""
    return relative_motion(viewmats[:, None], lagging_poses(viewmats, times, lags))
