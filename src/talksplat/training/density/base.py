"""Density control: interface of the strategies."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from talksplat.errors import UserError
from talksplat.types import RenderOutput

logger = logging.getLogger(__name__)


class DensityControl:
    """Adds, removes and moves Gaussians. Its state is a flat dictionary of tensors and numbers that a checkpoint keeps.

    Parameters are a dictionary (means, scales, quats, opacities, ...) with one optimiser of one group each, the format of
    gsplat's strategies; both are changed in place. `refine` and `after_step` get the same random numbers on all devices
    and after a resume if they use torch's global generator.

    Args:
        start, stop, every: refinement runs every `every` steps for start < step < stop.
    """

    absgrad = False  # whether `statistics` reads `means2d.absgrad`, which the rasteriser must then fill

    def __init__(self, start: int, stop: int, every: int) -> None:
        self.start = start
        self.stop = stop
        self.every = every

    def check(self, path: str, steps: int, predicted: Sequence[str]) -> None:
        """Check the settings before training; settings without effect are logged as a warning.

        Args:
            path: of this strategy in the configuration, e.g. "stage.stages.coarse.density".
            steps: of the stage.
            predicted: attributes that a network predicts in this stage, so that their explicit values are not rendered.

        Raises:
            UserError: names the setting and the remedy.
        """
        if self.every < 1:
            raise UserError(f"{path}.every must be at least 1, not {self.every}")
        if self.start >= self.stop:
            raise UserError(f"{path}.start={self.start} is not before {path}.stop={self.stop}: nothing would grow")
        if self.start >= steps - 1:
            logger.warning(
                "%s.start=%d is not before the last of the stage's %d steps: nothing will grow; lower it, or choose none",
                *(path, self.start, steps),
            )
        elif self.stop > steps:
            logger.warning(
                "%s.stop=%d lies beyond the stage's %d steps: Gaussians are added until its end, and the last ones are "
                "hardly trained; set it to %d or less",
                *(path, self.stop, steps, steps * 4 // 5),
            )

    def initialize(self, scene_scale: float) -> None:
        """Begin a stage; `scene_scale` (dm) is the size of the head, to which size limits are relative."""

    def is_active(self, step: int) -> bool:
        """Whether statistics are collected at this step."""
        return step < self.stop

    def refines_at(self, step: int) -> bool:
        """Whether Gaussians may be added or removed at this step."""
        return self.start < step < self.stop and step % self.every == 0

    def acts_after(self, step: int) -> bool:
        """Whether `after_step` is called at this step."""
        return False

    def penalty(self, params: nn.ParameterDict) -> Tensor | None:
        """Addend of the loss; None: none."""
        return None

    def statistics(self, output: RenderOutput, width: int, height: int) -> dict[str, Tensor]:
        """Statistics of a batch after its backward pass (`output.means2d.grad` is filled): sums over its frames, so that
        those of several processes can be added."""
        return frame_statistics(output, width, height, self.absgrad)

    def observe(self, params: nn.ParameterDict, statistics: dict[str, Tensor]) -> None:
        """Accumulate the statistics of a step."""

    def refine(self, params: nn.ParameterDict, optimizers: dict[str, Optimizer], step: int) -> None:
        """Add and remove Gaussians after the optimiser step."""
        raise NotImplementedError()

    def after_step(
        self,
        params: nn.ParameterDict,
        optimizers: dict[str, Optimizer],
        step: int,
        learning_rates: Mapping[str, float],
    ) -> None:
        """Change Gaussians in place after the optimiser step, and after `refine` where that runs at the same step.

        Args:
            params, optimizers, step: as for `refine`.
            learning_rates: of this step, by parameter ("means", ...).
        """

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to resume."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a saved state."""


def frame_statistics(output: RenderOutput, width: int, height: int, absgrad: bool = False) -> dict[str, Tensor]:
    """Sums over the frames of a batch, [N] each: norms of screen gradients, and number of frames in which a Gaussian is visible."""
    norms, visible = screen_gradients(output, width, height, absgrad)
    return {"gradient": torch.where(visible, norms, 0.0).sum(0), "count": visible.sum(0, dtype=norms.dtype)}


def screen_gradients(output: RenderOutput, width: int, height: int, absgrad: bool = False) -> tuple[Tensor, Tensor]:
    """Norms of the gradients of 2D means in normalised device coordinates, and visibility, both [B, N].

    Losses are means over the B frames of a batch, so gradients are multiplied by B to be per frame; gsplat and our
    kernels return them per pixel, and thresholds of 3DGS are in normalised device coordinates, hence W/2 and H/2 (GaussianTalker). With `absgrad`
    the absolute values of the pixels' gradients are summed instead, so that pixels that pull a Gaussian in opposite
    directions do not cancel (AbsGS, Ye et al. 2024).
    """
    x, y = (output.means2d.absgrad if absgrad else output.means2d.grad).unbind(dim=-1)
    frames = len(output.means2d)
    scaled = torch.stack([x * (width / 2 * frames), y * (height / 2 * frames)], dim=-1)
    return scaled.norm(dim=-1), (output.radii > 0).all(dim=-1)
