"""Several small output heads that run as one."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear, relu


class FusedHeads(nn.Module):
    """Independent heads ReLU-Linear(in, hidden)-ReLU-Linear(hidden, d), with the first layers fused into one product.

    GaussianTalker sections 3.2 and 3.5. Weights are Xavier with gain 1, those of the output layers with `output_gain`
    (0: the heads start by giving exactly zero); output biases start at zero.

    Args:
        widths: numbers that each head gives.
    """

    def __init__(self, in_features: int, hidden: int, widths: Mapping[str, int], output_gain: float):
        super().__init__()
        self.widths = dict(widths)
        self.hidden = nn.Linear(in_features, hidden * len(self.widths))
        for block in self.hidden.weight.detach().split(hidden):
            nn.init.xavier_uniform_(block)
        self.outputs = nn.ModuleDict({name: nn.Linear(hidden, width) for name, width in self.widths.items()})
        for output in self.outputs.values():
            nn.init.xavier_uniform_(output.weight, gain=output_gain)
            nn.init.zeros_(output.bias)

    def forward(self, features: Float[Tensor, "*batch feature"]) -> dict[str, Float[Tensor, "*batch width"]]:
        """One output for each head, in the dtype that autocast chooses."""
        features = relu(features)
        weight, bias, outputs = self.hidden.weight, self.hidden.bias, list(self.outputs.values())
        if features.is_cuda:  # fewest kernels: two products, the second with a block-diagonal matrix
            hidden = relu(linear(features, weight, bias))
            blocks = torch.block_diag(*(output.weight for output in outputs))
            merged = linear(hidden, blocks, torch.cat([output.bias for output in outputs]))
            return dict(zip(self.widths, merged.split(list(self.widths.values()), dim=-1)))
        parts = zip(weight.chunk(len(outputs)), bias.chunk(len(outputs)))  # fewest operations and no strided copies
        hidden = [relu(linear(features, *part)) for part in parts]
        return {name: output(part) for name, output, part in zip(self.widths, outputs, hidden)}


def attribute_shaped(outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Outputs of heads as float32 and in the shapes of the attributes: opacities without their last axis, sh [K, 3]."""
    shaped = {name: value.float() for name, value in outputs.items()}
    if "opacities" in shaped:
        shaped["opacities"] = shaped["opacities"].squeeze(-1)
    if "sh" in shaped:
        shaped["sh"] = shaped["sh"].unflatten(-1, (-1, 3))
    return shaped


def without_autocast(tensor: Tensor) -> torch.autocast:
    """Context in which geometry stays in float32."""
    return torch.autocast(tensor.device.type, enabled=False)
