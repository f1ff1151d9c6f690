"""Attribution per Gaussian: attention weights, and the change of each attribute by the deformation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from talksplat.models.avatar import Avatar
from talksplat.models.inspection import attention, deformed_attributes, undeformed
from talksplat.types import Conditions, Gaussians

MILLIMETRES = 100.0  # in a decimetre


@dataclass(frozen=True)
class Quantity:
    """Quantity that a map shows.

    Args:
        name: caption.
        meaning: what its values are, in a few words.
        unit: of its values; "" for plain numbers.
        palette: colours, see `ColorScale`.
        high: end of the colour scale; None: chosen per video.
    """

    name: str
    meaning: str
    unit: str
    palette: str
    high: float | None = None


def displacement(before: Gaussians, after: Gaussians) -> Float[Tensor, "frame gaussian"]:
    """Displacement of the means, in mm."""
    return torch.linalg.norm(after.means - before.means, dim=-1) * MILLIMETRES


def stretching(before: Gaussians, after: Gaussians) -> Float[Tensor, "frame gaussian"]:
    """Norm of the change of the three log scales."""
    first, second = (part.scales.clamp_min(1e-12).log() for part in (before, after))  # a scale may underflow to 0
    return torch.linalg.norm(second - first, dim=-1)


def turning(before: Gaussians, after: Gaussians) -> Float[Tensor, "frame gaussian"]:
    """Angle of the rotation from one orientation to the other, in degrees, at most 180."""
    first, second = (torch.nn.functional.normalize(part.quats, dim=-1) for part in (before, after))
    second = torch.where((first * second).sum(-1, keepdim=True) < 0, -second, second)  # q and -q are the same rotation
    # From the chord: the arc cosine of the scalar product loses angles below 0.05 degrees to rounding.
    return torch.rad2deg(4 * torch.asin((torch.linalg.norm(second - first, dim=-1) / 2).clamp(max=1)))


def fading(before: Gaussians, after: Gaussians) -> Float[Tensor, "frame gaussian"]:
    """Change of the opacity, regardless of its sign."""
    return (after.opacities - before.opacities).abs()


def recolouring(before: Gaussians, after: Gaussians) -> Float[Tensor, "frame gaussian"]:
    """Root mean square over R, G and B of the change of the rendered colour, 1 from black to white. Includes
    the change by the new viewing direction when the mean moves."""
    return (after.colors - before.colors).square().mean(-1).sqrt()


MEASURES: dict[str, tuple[Callable[[Gaussians, Gaussians], Tensor], Quantity]] = {
    "means": (displacement, Quantity("means", "displacement in mm", "mm", "magma")),
    "scales": (stretching, Quantity("scales", "change of log scale", "", "magma")),
    "quats": (turning, Quantity("quats", "turn in degrees", "deg", "magma")),
    "opacities": (fading, Quantity("opacities", "change of opacity", "", "magma")),
    "sh": (recolouring, Quantity("colour", "change as drawn", "", "magma")),
}


class AttentionAttribution:
    """Attention weights of each Gaussian, one per token (GaussianTalker)."""

    def __init__(self, model: Avatar) -> None:
        self.model = model
        self.quantities = [
            Quantity(f"attention: {name}", "weight of the token", "", "viridis", high=1.0) for name in model.token_names
        ]

    def __call__(self, conditions: Conditions, gaussians: Gaussians) -> Float[Tensor, "frame gaussian token"]:
        """Weights in [0, 1]; they sum to one over the tokens."""
        return attention(self.model, conditions).float()


class DeformationAttribution:
    """Magnitude of the deformation of each attribute of each Gaussian.

    Args:
        model: an avatar.
        mode: see `GaussianLayer`.
        sh_degree: spherical harmonics in use.
        conditions: of any frame, to find out which attributes the model deforms.
    """

    def __init__(self, model: Avatar, mode: str, sh_degree: int, conditions: Conditions) -> None:
        self.model, self.mode, self.sh_degree = model, mode, sh_degree
        deformed = deformed_attributes(model, conditions)
        self._measures = [measure for name, (measure, _) in MEASURES.items() if name in deformed]
        self.quantities = [quantity for name, (_, quantity) in MEASURES.items() if name in deformed]

    def __call__(self, conditions: Conditions, gaussians: Gaussians) -> Float[Tensor, "frame gaussian attribute"]:
        """Magnitudes in the units of `quantities`; `gaussians` are the deformed ones of the same frames."""
        before = undeformed(self.model, conditions, self.mode, self.sh_degree)
        return torch.stack([measure(before, gaussians) for measure in self._measures], dim=-1)
