"""Canonical head: attributes of Gaussians predicted from their tri-plane features (GaussianTalker)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jaxtyping import Float
from torch import Tensor, nn

from talksplat.errors import UserError
from talksplat.models.gaussians.parameters import attribute_widths
from talksplat.models.heads import FusedHeads, JoinedHeads, attribute_shaped

FACTORS = ("scales", "quats", "opacities", "sh")
SCALE_SHIFT = -2.0  # of the predicted log scale, as in the original


def mlp_trunk(in_features: int, hidden: int) -> nn.Sequential:
    """Linear-ReLU-Linear with Xavier weights."""
    trunk = nn.Sequential(nn.Linear(in_features, hidden), nn.ReLU(), nn.Linear(hidden, hidden))
    for layer in (trunk[0], trunk[2]):
        nn.init.xavier_uniform_(layer.weight)
    return trunk


class CanonicalMLP(nn.Module):
    """Trunk Linear-ReLU-Linear and one head per predicted factor.

    Args:
        in_features: width of the tri-plane features.
        hidden: width of trunk and heads.
        factors: which attributes are predicted, the others are free parameters of each Gaussian. The released
            configurations predict opacities and sh, the paper all of scales, quats, opacities and sh; with none of them
            the canonical head is plain Gaussian splatting.
        sh_degree: as of the Gaussians.
        output_gain: Xavier gain of the output layers.
        trunk: makes the trunk from in_features and hidden.
        heads: makes the heads from in_features, hidden, their widths and output_gain.

    Raises:
        UserError: unknown factors.
    """

    def __init__(
        self,
        in_features: int = 64,
        hidden: int = 128,
        factors: Sequence[str] = ("opacities", "sh"),
        sh_degree: int = 3,
        output_gain: float = 0.1,
        trunk: Callable[[int, int], nn.Module] = mlp_trunk,
        heads: Callable[..., JoinedHeads] = FusedHeads,
    ):
        super().__init__()
        unknown = sorted(set(factors) - set(FACTORS))
        if unknown:
            raise UserError(f"canonical.factors: {unknown[0]!r} is not one of {', '.join(FACTORS)}")
        self.factors = tuple(name for name in FACTORS if name in factors)
        self.in_features = in_features
        self.sh_degree = sh_degree
        if not self.factors:
            return
        widths = attribute_widths(sh_degree)
        self.trunk = trunk(in_features, hidden)
        self.heads = heads(hidden, hidden, {name: widths[name] for name in self.factors}, output_gain)

    def forward(self, features: Float[Tensor, "gaussian feature"]) -> dict[str, Tensor]:
        """Predicted raw attributes, named and shaped as in `RawGaussians`, in float32."""
        if not self.factors:
            return {}
        predicted = attribute_shaped(self.heads(self.trunk(features)))
        if "scales" in predicted:
            predicted["scales"] = predicted["scales"] + SCALE_SHIFT
        return predicted
