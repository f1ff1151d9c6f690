"""Adaptive density control of 3D Gaussian splatting, as the original talking heads use it, with its defects as settings."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import torch
from gsplat.strategy.ops import duplicate, remove, reset_opa, split
from torch import Tensor, nn
from torch.optim import Optimizer

from talksplat.errors import UserError
from talksplat.training.density.base import DensityControl

logger = logging.getLogger(__name__)


class AdaptiveDensity(DensityControl):
    """Clone small and split large Gaussians with large screen gradients; prune transparent and oversized ones.

    (Kerbl et al. 2023, section 5.2; values of GaussianTalker)

    Args:
        grad_threshold: mean gradient norm (normalised device coordinates) above which a Gaussian is densified.
        start, stop: densification runs for start < step < stop.
        every: steps between refinements.
        max_gaussians: no densification above this number, which bounds memory.
        percent_dense: clone below, split above this share of the scene scale.
        min_opacity: prune below it; None: no opacity pruning, which is the effect of the original's stale copies.
        prune_start: pruning runs for prune_start < step < stop.
        max_scale: after `size_prune_start`, prune above this share of the scene scale; None: never.
        size_prune_start: step at which size pruning begins; None: as soon as pruning does.
        min_keep: never prune below this share of the Gaussians at the start of the stage, against a collapse.
        opacity_reset_every: steps between resets of opacities, before `stop`; None: never.
        opacity_reset_value: larger opacities are set to this one, and their optimiser's moments to 0.
        absgrad: sum absolute gradients of pixels (AbsGS, Ye et al. 2024), which are larger and need a larger `grad_threshold`.
    """

    def __init__(
        self,
        grad_threshold: float = 1e-3,
        start: int = 1000,
        stop: int = 7000,
        every: int = 100,
        max_gaussians: int = 50_000,
        percent_dense: float = 0.01,
        min_opacity: float | None = 0.005,
        prune_start: int = 500,
        max_scale: float | None = None,
        size_prune_start: int | None = None,
        min_keep: float = 0.5,
        opacity_reset_every: int | None = None,
        opacity_reset_value: float = 0.01,
        absgrad: bool = False,
    ) -> None:
        super().__init__(start, stop, every)
        self.grad_threshold = grad_threshold
        self.max_gaussians = max_gaussians
        self.percent_dense = percent_dense
        self.min_opacity = min_opacity
        self.prune_start = prune_start
        self.max_scale = max_scale
        self.size_prune_start = size_prune_start
        self.min_keep = min_keep
        self.opacity_reset_every = opacity_reset_every
        self.opacity_reset_value = opacity_reset_value
        self.absgrad = absgrad
        self.initialize(1.0)

    def check(self, path: str, steps: int, predicted: Sequence[str]) -> None:
        super().check(path, steps, predicted)
        if self.max_scale is None and self.size_prune_start is not None:
            raise UserError(
                f"{path}.size_prune_start={self.size_prune_start} does nothing while max_scale is null: set "
                f"{path}.max_scale as well, e.g. to 0.1"
            )
        end = min(self.stop, steps)
        if self.max_scale is not None and (self.size_prune_start or self.prune_start) >= end:
            logger.warning(
                "%s.max_scale=%s can never act: size_prune_start=%s is not before step %d, where pruning ends; set max_scale "
                "to null or size_prune_start lower",
                *(path, self.max_scale, self.size_prune_start, end),
            )
        if self.opacity_reset_every is not None:
            self._check_reset(path, end, predicted)

    def _check_reset(self, path: str, end: int, predicted: Sequence[str]) -> None:
        name, every, value = f"{path}.opacity_reset_every", self.opacity_reset_every, self.opacity_reset_value
        if not 0 < every < end:
            raise UserError(
                f"{name}={every} must lie between 0 and step {end}, where density control ends; null: never"
            )
        if not (self.min_opacity or 0) < value < 1:
            raise UserError(
                f"{path}.opacity_reset_value={value} must lie between min_opacity={self.min_opacity}, below which Gaussians "
                "are pruned, and 1"
            )
        if "opacities" in predicted:
            raise UserError(
                f"{name}={every} resets explicit opacities, but a network predicts them in this stage: set it to null, or "
                "take opacities out of model.canonical.factors"
            )

    def initialize(self, scene_scale: float) -> None:
        self.scene_scale = scene_scale
        self.initial_count: int | None = None
        self.stats: dict[str, Tensor] = {}

    def refines_at(self, step: int) -> bool:
        return self._regular(step) or self._resets(step)

    def _regular(self, step: int) -> bool:
        return min(self.start, self.prune_start) < step < self.stop and step % self.every == 0

    def _resets(self, step: int) -> bool:
        return self.opacity_reset_every is not None and 0 < step < self.stop and step % self.opacity_reset_every == 0

    def observe(self, params: nn.ParameterDict, statistics: dict[str, Tensor]) -> None:
        if self.initial_count is None:
            self.initial_count = len(params["means"])
        self.stats = {name: self.stats[name] + added if self.stats else added for name, added in statistics.items()}

    def refine(self, params: nn.ParameterDict, optimizers: dict[str, Optimizer], step: int) -> None:
        if self._regular(step):
            if step > self.start and self.stats and len(params["means"]) < self.max_gaussians:
                self._densify(params, optimizers)
            if step > self.prune_start:
                self._prune(params, optimizers, step)
            self.stats = {}
        if self._resets(step):
            reset_opa(params, optimizers, {}, self.opacity_reset_value)

    def _densify(self, params: nn.ParameterDict, optimizers: dict[str, Optimizer]) -> None:
        gradient = self.stats["gradient"] / self.stats["count"].clamp_min(1)
        selected = gradient > self.grad_threshold
        budget = self.max_gaussians - len(gradient)
        if int(selected.sum()) > budget:
            # Densify those with the largest gradients, so that the cap is never exceeded.
            selected = torch.zeros_like(selected)
            selected[gradient.topk(budget).indices] = True
        small = params["scales"].detach().exp().amax(-1) <= self.percent_dense * self.scene_scale
        clone, divide = selected & small, selected & ~small
        if clone.any():
            duplicate(params=params, optimizers=optimizers, state=self.stats, mask=clone)
        if divide.any():
            divide = torch.cat([divide, divide.new_zeros(int(clone.sum()))])
            split(params=params, optimizers=optimizers, state=self.stats, mask=divide)

    def _prune(self, params: nn.ParameterDict, optimizers: dict[str, Optimizer], step: int) -> None:
        opacity = params["opacities"].detach().sigmoid().flatten()
        prune_mask = torch.zeros_like(opacity, dtype=torch.bool)
        if self.min_opacity is not None:
            prune_mask |= opacity < self.min_opacity
        if self.max_scale is not None and step > (self.size_prune_start or 0):
            prune_mask |= params["scales"].detach().exp().amax(-1) > self.max_scale * self.scene_scale
        spare = len(opacity) - int(self.min_keep * (self.initial_count or 0))
        if int(prune_mask.sum()) > max(spare, 0):
            worst = torch.where(prune_mask, opacity, torch.inf).topk(max(spare, 0), largest=False).indices
            prune_mask = torch.zeros_like(prune_mask)
            prune_mask[worst] = True
        if prune_mask.any():
            remove(params=params, optimizers=optimizers, state=self.stats, mask=prune_mask)

    def state_dict(self) -> dict[str, Any]:
        return {"scene_scale": self.scene_scale, "initial_count": self.initial_count, "stats": dict(self.stats)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.scene_scale = state["scene_scale"]
        self.initial_count = state["initial_count"]
        self.stats = dict(state["stats"])
