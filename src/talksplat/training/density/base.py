"""The contract of density control."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from talksplat.types import RenderOutput


@runtime_checkable
class DensityControl(Protocol):
    """Adds and removes Gaussians. Its state is a flat dictionary of tensors and numbers that a checkpoint keeps.

    The parameters come as a dictionary (means, scales, quats, opacities, ...) with one optimiser of one group each, as
    gsplat's strategies want them; both are changed in place.
    """

    def initialize(self, scene_scale: float) -> None:
        """Begin a stage; `scene_scale` (dm) is the size of the head, to which size limits are relative."""
        ...

    def is_active(self, step: int) -> bool:
        """Whether statistics are still wanted at this step."""
        ...

    def refines_at(self, step: int) -> bool:
        """Whether Gaussians may be added or removed at this step."""
        ...

    def statistics(self, output: RenderOutput, width: int, height: int) -> dict[str, Tensor]:
        """What a batch tells after its backward pass (`output.means2d.grad` is filled): sums over its frames, so that those
        of several processes can be added up."""
        ...

    def observe(self, params: nn.ParameterDict, statistics: dict[str, Tensor]) -> None:
        """Take the statistics of a step."""
        ...

    def refine(self, params: nn.ParameterDict, optimizers: dict[str, Optimizer], step: int) -> None:
        """Add and remove Gaussians after the optimiser step."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        ...


def frame_statistics(output: RenderOutput, width: int, height: int) -> dict[str, Tensor]:
    """Sums over the frames of a batch, [N] each: norms of screen gradients, and in how many frames a Gaussian is seen."""
    norms, visible = screen_gradients(output, width, height)
    return {"gradient": torch.where(visible, norms, 0.0).sum(0), "count": visible.sum(0, dtype=norms.dtype)}


def screen_gradients(output: RenderOutput, width: int, height: int) -> tuple[Tensor, Tensor]:
    """Norms of the gradients of 2D means in normalised device coordinates, and visibility, both [B, N].

    Losses are means over the B frames of a batch, so gradients are multiplied by B to be those of one frame; gsplat and
    our kernels give them in pixels, hence the factors W/2 and H/2 (GaussianTalker specification, 5.3).
    """
    scale = output.means2d.new_tensor([width / 2, height / 2]) * output.means2d.shape[0]
    visible = (output.radii > 0).all(dim=-1)
    return (output.means2d.grad * scale).norm(dim=-1), visible
