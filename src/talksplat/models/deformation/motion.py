"""Motion offsets, linear in the head's recent motion: hair that lags behind the head, or hangs when it nods."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from talksplat.errors import UserError
from talksplat.geometry.head_motion import MOTION_WIDTH, relative_motion
from talksplat.models.heads import without_autocast

KINDS = ("follow", "linear")


class MotionOffsets(nn.Module):
    """Offsets of Gaussians' positions, linear in the head's motion, so that they extrapolate to unseen motion.

    With (w, s)_k the motion to the pose that lags by the k-th time constant, and (w, s)_0 that to the mean training pose
    (for hair that rests on the shoulders, or hangs), a Gaussian at x moves by sum_k a_k (w_k x x + s_k), i.e. stays behind
    by the share a_k ("follow"), or by a matrix times all (w, s)_k ("linear"). A network predicts shares or matrix from
    its tri-plane features.

    Args:
        in_features: width of the tri-plane features.
        lags: time constants in seconds, those of the data (`dataset.motion_lags`).
        hidden: width of the network.
        kind: "follow" or "linear".
    """

    PERSONAL = ("rest",)
    rest: Float[Tensor, "4 4"]

    def __init__(self, in_features: int, lags: Sequence[float], hidden: int = 64, kind: str = "follow"):
        super().__init__()
        if kind not in KINDS:
            raise UserError(f"model.motion.kind={kind!r} must be one of {', '.join(KINDS)}")
        self.kind = kind
        width = (len(lags) + 1) * (1 if kind == "follow" else 3 * MOTION_WIDTH)
        self.network = linear_offsets(in_features, hidden, width)
        self.register_buffer("rest", torch.eye(4))

    @torch.no_grad()
    def fit(self, viewmats: Float[Tensor, "frame 4 4"]) -> None:
        """Set the mean pose of the training cameras."""
        self.rest.copy_(viewmats.mean(0))

    def forward(
        self,
        features: Float[Tensor, "gaussian feature"],
        means: Float[Tensor, "gaussian 3"],
        motion: Float[Tensor, "frame lag 6"],
        viewmats: Float[Tensor, "frame 4 4"],
    ) -> Float[Tensor, "frame gaussian 3"]:
        """Offsets in dm, float32."""
        with without_autocast(means):
            shares = self.network(features.float())
            rest = relative_motion(viewmats, self.rest.expand_as(viewmats))
            motion = torch.cat([rest[:, None], motion], dim=1)
            if self.kind == "linear":
                return torch.einsum("nij,bj->bni", shares.unflatten(-1, (3, -1)), motion.flatten(1))
            turn, shift = motion.split(3, dim=-1)
            # sum_k a_k (w_k x x + s_k) = (sum_k a_k w_k) x x + sum_k a_k s_k
            turn, shift = (torch.einsum("nk,bki->bni", shares, part) for part in (turn, shift))
            return torch.linalg.cross(turn, means.expand_as(turn)) + shift


def linear_offsets(in_features: int, hidden: int, width: int) -> nn.Sequential:
    """Network from tri-plane features to the coefficients of linear offsets; zero at the start."""
    network = nn.Sequential(
        nn.LayerNorm(in_features), nn.Linear(in_features, hidden), nn.ReLU(), nn.Linear(hidden, width)
    )
    nn.init.zeros_(network[-1].weight)
    nn.init.zeros_(network[-1].bias)
    return network
