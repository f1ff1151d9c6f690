"""Gaussian parameters: the explicit attributes of each Gaussian, their initial values and activations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from talksplat.errors import UserError
from talksplat.geometry.cameras import camera_centers
from talksplat.geometry.spherical_harmonics import C0, evaluate_sh, num_sh_bases
from talksplat.models.gaussians.start_points import neighbor_distances, resample_points
from talksplat.types import Gaussians, TensorBundle

ATTRIBUTES = ("means", "scales", "quats", "opacities", "sh")


def attribute_widths(sh_degree: int) -> dict[str, int]:
    """Numbers per Gaussian of each attribute (GaussianTalker: 3, 3, 4, 1, 48)."""
    return {"means": 3, "scales": 3, "quats": 4, "opacities": 1, "sh": 3 * num_sh_bases(sh_degree)}


@dataclass
class RawGaussians(TensorBundle):
    """Gaussians before their activations; leading axes are [gaussian] or [frame, gaussian]."""

    means: Float[Tensor, "*#batch 3"]  # dm
    scales: Float[Tensor, "*#batch 3"]  # log of dm
    quats: Float[Tensor, "*#batch 4"]  # wxyz, any length
    opacities: Float[Tensor, "*#batch"]  # logits
    sh: Float[Tensor, "*#batch basis 3"]

    def activate(self, viewmats: Float[Tensor, "frame 4 4"], active_sh_degree: int) -> Gaussians:
        """Activated attributes for B cameras: exp of scales, sigmoid of opacities, colours max(0, SH + 0.5) along the rays
        from the camera to the (deformed) means. Attributes shared by all frames are expanded, not copied."""
        frames, count = len(viewmats), self.means.shape[-2]
        rays = self.means - camera_centers(viewmats)[:, None]
        colors = evaluate_sh(self.sh, nn.functional.normalize(rays, dim=-1), active_sh_degree).clamp_min(0)
        return Gaussians(
            means=self.means.expand(frames, count, 3),
            quats=self.quats.expand(frames, count, 4),
            scales=self.scales.exp().expand(frames, count, 3),
            opacities=self.opacities.sigmoid().expand(frames, count),
            colors=colors,
        )


class GaussianParameters(nn.Module):
    """N Gaussians as `params`: means [N, 3] (dm), scales [N, 3] (log), quats [N, 4] (wxyz), opacities [N] (logit),
    sh0 [N, 1, 3] and shN [N, K - 1, 3].

    Empty until `initialize` or, before weights are loaded, `resize`.

    Args:
        sh_degree: 0 to 3.
        initial_opacity: in (0, 1); GaussianTalker: 0.1.
        scale_range: smallest and largest initial scale in dm; the original clamps at sqrt(1e-7) from below only.
        num_points: thin out or densify the start points to this number; None keeps the subject's.
    """

    PERSONAL = ("*",)

    def __init__(
        self,
        sh_degree: int = 3,
        initial_opacity: float = 0.1,
        scale_range: Sequence[float] = (3.2e-4, 0.5),
        num_points: int | None = None,
    ):
        super().__init__()
        if not 0 <= sh_degree <= 3:
            raise UserError(f"gaussians.sh_degree={sh_degree}: spherical harmonics go from degree 0 to 3")
        if not 0 < initial_opacity < 1:
            raise UserError(f"gaussians.initial_opacity={initial_opacity} must lie between 0 and 1")
        self.sh_degree = sh_degree
        self.initial_opacity = initial_opacity
        self.scale_range = tuple(scale_range)
        self.num_points = num_points
        self.params = nn.ParameterDict()
        self.resize(0)

    @property
    def num_gaussians(self) -> int:
        """N."""
        return self.params["means"].shape[0]

    def resize(self, num_gaussians: int) -> None:
        """Allocate N Gaussians (all zero), so that a checkpoint of that size can be loaded."""
        rest = num_sh_bases(self.sh_degree) - 1
        shapes = {"means": (3,), "scales": (3,), "quats": (4,), "opacities": (), "sh0": (1, 3), "shN": (rest, 3)}
        device = self.params["means"].device if "means" in self.params else None
        for name, shape in shapes.items():
            self.params[name] = nn.Parameter(torch.zeros(num_gaussians, *shape, device=device))

    @torch.no_grad()
    def initialize(self, vertices: Float[Tensor, "point 3"], vertex_colors: UInt8[Tensor, "point 3"] | None) -> None:
        """Start at the vertices (dm) in their colours, or mid-grey: isotropic, as large as the distance to the three nearest
        neighbours (GaussianTalker)."""
        points = vertices.cpu().numpy()
        colors = None if vertex_colors is None else vertex_colors.cpu().numpy()
        points, colors = resample_points(points, colors, self.num_points)
        self.resize(len(points))
        params = self.params
        params["means"].copy_(torch.as_tensor(points))
        scales = neighbor_distances(points).clip(*self.scale_range)
        params["scales"].copy_(torch.as_tensor(np.log(scales))[:, None].expand(-1, 3))
        params["quats"][:, 0] = 1
        params["opacities"].fill_(math.log(self.initial_opacity / (1 - self.initial_opacity)))
        if colors is not None:
            params["sh0"][:, 0] = (torch.as_tensor(colors).to(params["sh0"]) / 255 - 0.5) / C0

    def raw(self) -> RawGaussians:
        """All parameters, before their activations."""
        p = self.params
        sh = torch.cat([p["sh0"], p["shN"]], dim=1)
        return RawGaussians(p["means"], p["scales"], p["quats"], p["opacities"], sh)

    @torch.no_grad()
    def assign(self, values: dict[str, Tensor]) -> None:
        """Overwrite attributes, named as in `RawGaussians`, in place."""
        for name, value in values.items():
            if name == "sh":
                self.params["sh0"].copy_(value[:, :1])
                self.params["shN"].copy_(value[:, 1:])
            else:
                self.params[name].copy_(value)
