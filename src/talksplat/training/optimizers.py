"""Optimisers: one Adam for the networks, one for each parameter of the Gaussians."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim import Adam

from talksplat.training.stage import GAUSSIAN_GROUPS, Stage

ADAM_EPS = 1e-15  # 3D Gaussian splatting's value: gradients of single Gaussians are tiny


class Optimizers:
    """All optimisers of a stage.

    Density control changes the number of Gaussians and needs one optimiser of one group for each of their parameters.
    Only the network optimiser is handed to Lightning, which counts steps by it.

    Args:
        network_groups: parameters of the networks by learning-rate group ("networks", "triplane", "audio_backbone").
        gaussians: parameters of the Gaussians by name.
        stage: gives the learning rates.
        spread: camera spread in dm, for learning rates that follow it.
    """

    def __init__(
        self, network_groups: dict[str, list[nn.Parameter]], gaussians: nn.ParameterDict, stage: Stage, spread: float
    ) -> None:
        self.stage = stage
        self.spread = spread
        fused = gaussians["means"].is_cuda
        groups = [{"params": params, "name": name} for name, params in network_groups.items() if params]
        if not groups:
            # A model without networks still needs one optimiser whose steps Lightning can count.
            groups = [{"params": [nn.Parameter(torch.zeros(1, device=gaussians["means"].device))], "name": "networks"}]
        self.networks = Adam(groups, lr=0.0, eps=ADAM_EPS, fused=fused)
        self.gaussians = {
            name: Adam([{"params": [gaussians[name]], "name": name}], lr=0.0, eps=ADAM_EPS, fused=fused)
            for name in GAUSSIAN_GROUPS
        }

    def set_learning_rates(self, step: int) -> None:
        """Learning rates of this step."""
        for optimizer in (self.networks, *self.gaussians.values()):
            for group in optimizer.param_groups:
                group["lr"] = self.stage.learning_rates.at(group["name"], step, self.stage.steps, self.spread)

    def step_gaussians(self) -> None:
        """Step every optimiser of the Gaussians; parameters without a gradient stay."""
        for optimizer in self.gaussians.values():
            optimizer.step()

    def zero_grad(self) -> None:
        """Drop all gradients."""
        for optimizer in (self.networks, *self.gaussians.values()):
            optimizer.zero_grad(set_to_none=True)

    def parameters(self) -> dict[str, list[nn.Parameter]]:
        """Trained parameters by group name."""
        return {
            group["name"]: group["params"]
            for optimizer in (self.networks, *self.gaussians.values())
            for group in optimizer.param_groups
        }

    def learning_rates(self) -> dict[str, float]:
        """Current learning rates by group name."""
        return {
            group["name"]: group["lr"]
            for optimizer in (self.networks, *self.gaussians.values())
            for group in optimizer.param_groups
        }

    def gaussian_state_dict(self) -> dict[str, dict]:
        """State of the Gaussians' optimisers; Lightning keeps the networks' one."""
        return {name: optimizer.state_dict() for name, optimizer in self.gaussians.items()}

    def load_gaussian_state_dict(self, state: dict[str, dict]) -> None:
        """Inverse of `gaussian_state_dict`."""
        for name, optimizer in self.gaussians.items():
            optimizer.load_state_dict(state[name])
