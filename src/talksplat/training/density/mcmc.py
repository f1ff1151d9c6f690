"""3D Gaussian splatting as Markov chain Monte Carlo: noise on the means, relocation of dead Gaussians."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from talksplat.errors import UserError
from talksplat.geometry.rotations import quat_to_matrix
from talksplat.training.density.base import DensityControl
from talksplat.training.density.relocation import add, relocate

SHARPNESS = 100.0  # of the sigmoid that suppresses noise on opaque Gaussians; the paper's k
CHANGED = ("opacities", "scales", "quats")  # attributes that relocation writes or noise reads


class MCMCDensity(DensityControl):
    """Stochastic gradient Langevin dynamics over the means, relocation of dead Gaussians, growth up to a cap
    (Kheradmand et al. 2024). The cap determines the number of Gaussians; no screen gradients are needed.

    Args:
        start, stop, every: refinement runs every `every` steps for start < step < stop. Noise is added in every step.
        max_gaussians: cap.
        growth: share of Gaussians that a refinement adds, until the cap.
        min_opacity: a Gaussian is dead at or below it.
        noise: factor of the noise, in addition to the learning rate of the means (dm), covariance (dm^2) and a sigmoid of
            the opacity; 0: none.
        opacity_weight: of the mean opacity in the loss.
        scale_weight: of the mean scale (dm) in the loss.
    """

    def __init__(
        self,
        start: int = 500,
        stop: int = 25_000,
        every: int = 100,
        max_gaussians: int = 60_000,
        growth: float = 0.05,
        min_opacity: float = 0.005,
        noise: float = 5e5,
        opacity_weight: float = 0.01,
        scale_weight: float = 0.01,
    ) -> None:
        super().__init__(start, stop, every)
        if not 0 <= growth <= 1:
            raise UserError(f"MCMCDensity: growth={growth} is a share of the Gaussians, from 0 to 1")
        if not 0 < min_opacity < 1:
            raise UserError(f"MCMCDensity: min_opacity={min_opacity} must lie between 0 and 1")
        if min(noise, opacity_weight, scale_weight) < 0:
            raise UserError("MCMCDensity: noise, opacity_weight and scale_weight must not be negative")
        self.max_gaussians = max_gaussians
        self.growth = growth
        self.min_opacity = min_opacity
        self.noise = noise
        self.opacity_weight = opacity_weight
        self.scale_weight = scale_weight

    def check(self, path: str, steps: int, predicted: Sequence[str]) -> None:
        super().check(path, steps, predicted)
        shared = [name for name in CHANGED if name in predicted]
        if shared:
            kept = ",".join(name for name in predicted if name not in CHANGED)
            raise UserError(
                f"{path} relocates Gaussians by their own opacities and scales, but a network predicts "
                f"{' and '.join(shared)} in this stage: set model.canonical.factors=[{kept}], or choose density "
                "adaptive or gsplat"
            )

    def is_active(self, step: int) -> bool:
        return False

    def acts_after(self, step: int) -> bool:
        return self.noise > 0

    def penalty(self, params: nn.ParameterDict) -> Tensor | None:
        return (
            self.opacity_weight * params["opacities"].sigmoid().mean()
            + self.scale_weight * params["scales"].exp().mean()
        )

    def refine(self, params: nn.ParameterDict, optimizers: dict[str, Optimizer], step: int) -> None:
        dead = params["opacities"].detach().sigmoid() <= self.min_opacity
        relocate(params, optimizers, dead, self.min_opacity)
        count = len(params["means"])
        new = min(self.max_gaussians, int((1 + self.growth) * count)) - count
        if new > 0:
            add(params, optimizers, new, self.min_opacity)

    @torch.no_grad()
    def after_step(
        self,
        params: nn.ParameterDict,
        optimizers: dict[str, Optimizer],
        step: int,
        learning_rates: Mapping[str, float],
    ) -> None:
        """Add noise to the means, large for nearly transparent Gaussians. gsplat's own function needs CUDA."""
        fading = torch.sigmoid(SHARPNESS * (self.min_opacity - params["opacities"].sigmoid()))
        axes = quat_to_matrix(params["quats"]) * params["scales"].exp()[:, None]
        drawn = torch.randn_like(params["means"]) * (learning_rates["means"] * self.noise * fading)[:, None]
        params["means"].add_((axes @ (axes.mT @ drawn[..., None]))[..., 0])
