"""Output heads per attribute, batched into few matrix products."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear, relu


class LinearMap(nn.Linear):
    """Linear layer with the factors `expand` and `folded` of its product; see `KANLinear` for one whose `expand` is not trivial."""

    def expand(self, features: Float[Tensor, "*batch feature"]) -> Float[Tensor, "*batch feature"]:
        """The left factor of the product."""
        return features

    def folded(self) -> tuple[Float[Tensor, "out feature"], Float[Tensor, " out"]]:
        """The right factor, and the bias."""
        return self.weight, self.bias


class JoinedHeads(nn.Module):
    """Independent heads layer-ReLU-layer on the same input, with the first layers fused into one product.

    Args:
        hidden: the first layers of all heads, side by side; has `expand` and `folded` (`LinearMap`, `KANLinear`).
        outputs: the last layer of each head, with the same methods.
    """

    def __init__(self, hidden: nn.Module, outputs: Mapping[str, nn.Module]):
        super().__init__()
        self.widths = {name: output.out_features for name, output in outputs.items()}
        self.hidden = hidden
        self.outputs = nn.ModuleDict(outputs)

    def forward(self, features: Float[Tensor, "*batch feature"]) -> dict[str, Float[Tensor, "*batch width"]]:
        """One output per head, in the dtype that autocast chooses."""
        features = self.hidden.expand(features)
        (weight, bias), outputs = self.hidden.folded(), list(self.outputs.values())
        if features.is_cuda:  # fewest kernels: two products, the second with a block-diagonal matrix
            hidden = outputs[0].expand(relu(linear(features, weight, bias)))
            merged = linear(hidden, *_side_by_side(outputs))
            return dict(zip(self.widths, merged.split(list(self.widths.values()), dim=-1)))
        parts = zip(weight.chunk(len(outputs)), bias.chunk(len(outputs)))  # fewest operations and no strided copies
        hidden = [relu(linear(features, *part)) for part in parts]
        return {name: output(part) for name, output, part in zip(self.widths, outputs, hidden)}


class FusedHeads(JoinedHeads):
    """Heads ReLU-Linear(in, hidden)-ReLU-Linear(hidden, d).

    As in GaussianTalker. Weights are Xavier with gain 1, those of the output layers with `output_gain`
    (0: the heads output exactly zero at the start); output biases start at zero.

    Args:
        widths: output size of each head.
    """

    def __init__(self, in_features: int, hidden: int, widths: Mapping[str, int], output_gain: float):
        first = LinearMap(in_features, hidden * len(widths))
        for block in first.weight.detach().split(hidden):
            nn.init.xavier_uniform_(block)
        outputs = {name: LinearMap(hidden, width) for name, width in widths.items()}
        for output in outputs.values():
            nn.init.xavier_uniform_(output.weight, gain=output_gain)
            nn.init.zeros_(output.bias)
        super().__init__(first, outputs)

    def forward(self, features: Float[Tensor, "*batch feature"]) -> dict[str, Float[Tensor, "*batch width"]]:
        """See `JoinedHeads`."""
        return super().forward(relu(features))


def _side_by_side(outputs: list[nn.Module]) -> tuple[Tensor, Tensor]:
    """Weight and bias of one product that computes all outputs, each from its own part of the input.

    `expand` concatenates the values of each basis function for all inputs, so there is one block-diagonal matrix per basis
    function.
    """
    weights, biases = zip(*(output.folded() for output in outputs))
    kinds = [weight.unflatten(1, (-1, output.in_features)).unbind(1) for weight, output in zip(weights, outputs)]
    return torch.cat([torch.block_diag(*blocks) for blocks in zip(*kinds)], dim=1), torch.cat(biases)


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
