"""Adapter of gsplat's default strategy to `DensityControl`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from gsplat.strategy import DefaultStrategy
from torch import Tensor, nn
from torch.optim import Optimizer

from talksplat.training.density.base import DensityControl

logger = logging.getLogger(__name__)


class GsplatDensity(DensityControl):
    """`gsplat.DefaultStrategy` (Kerbl et al. 2023 as gsplat implements it).

    Args:
        grad_threshold: mean screen gradient (normalised device coordinates) above which a Gaussian grows.
        start, stop, every: refinement runs every `every` steps for start < step < stop.
        min_opacity: prune below it.
        grow_scale: duplicate below, split above this share of the scene scale.
        prune_scale: prune above this share of the scene scale after `size_prune_start`.
        size_prune_start: step at which size pruning begins; None: never.
    """

    def __init__(
        self,
        grad_threshold: float = 2e-4,
        start: int = 500,
        stop: int = 15_000,
        every: int = 100,
        min_opacity: float = 0.005,
        grow_scale: float = 0.01,
        prune_scale: float = 0.1,
        size_prune_start: int | None = 3000,
    ) -> None:
        super().__init__(start, stop, every)
        self.size_prune_start = size_prune_start
        self.strategy = _Refinement(
            prune_opa=min_opacity,
            grow_grad2d=grad_threshold,
            grow_scale3d=grow_scale,
            prune_scale3d=prune_scale,
            refine_start_iter=start,
            refine_stop_iter=stop,
            refine_every=every,
            # gsplat ties size pruning to the period of its opacity reset, a reset that 1.5.3 never performs.
            reset_every=stop + 1 if size_prune_start is None else size_prune_start,
        )
        self.initialize(1.0)

    def check(self, path: str, steps: int, predicted: Sequence[str]) -> None:
        super().check(path, steps, predicted)
        end = min(self.stop, steps)
        if self.size_prune_start is not None and self.size_prune_start >= end:
            logger.warning(
                "%s.prune_scale can never act: size_prune_start=%d is not before step %d, where pruning ends; set "
                "size_prune_start lower, or to null for never",
                *(path, self.size_prune_start, end),
            )

    def initialize(self, scene_scale: float) -> None:
        self.state = self.strategy.initialize_state(scene_scale=scene_scale)

    def observe(self, params: nn.ParameterDict, statistics: dict[str, Tensor]) -> None:
        for name, added in (("grad2d", statistics["gradient"]), ("count", statistics["count"])):
            self.state[name] = added if self.state[name] is None else self.state[name] + added

    def refine(self, params: nn.ParameterDict, optimizers: dict[str, Optimizer], step: int) -> None:
        if self.state["grad2d"] is None:  # a subject that was not drawn since the last refinement
            return
        self.strategy.step_post_backward(params, optimizers, self.state, step, info={})

    def state_dict(self) -> dict[str, Any]:
        return dict(self.state)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.state = dict(state)


class _Refinement(DefaultStrategy):
    """gsplat's strategy without its own statistics, which are of one batch only."""

    def _update_state(self, *args: Any, **kwargs: Any) -> None:
        """No-op: `GsplatDensity.observe` has updated the state."""
