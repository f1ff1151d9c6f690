"""Layer of an avatar: one set of Gaussians with its spatial encoding, canonical head and deformation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from talksplat.errors import UserError
from talksplat.models.deformation.base import Deformation
from talksplat.models.gaussians.canonical import CanonicalMLP
from talksplat.models.gaussians.parameters import ATTRIBUTES, GaussianParameters, RawGaussians
from talksplat.models.gaussians.spatial_encoding import SpatialEncoding
from talksplat.models.heads import without_autocast
from talksplat.models.subject_statistics import SubjectStatistics
from talksplat.types import Conditions, Gaussians

MODES = ("canonical", "deform", "joint")
PREDICTED_MODES = ("canonical", "joint")  # in which the predictions of the canonical head are used


class GaussianLayer(nn.Module):
    """Gaussians that move by one deformation: a face, a mouth, a torso.

    In mode "canonical" the attributes predicted from the spatial features replace the explicit parameters; in mode
    "deform" `deformation` is added to the explicit parameters; in mode "joint" it is added to the predicted ones, for
    training both at once (GaussianTalker).

    Args:
        gaussians: the explicit parameters.
        triplane: features of positions.
        canonical: predicts some attributes from those features.
        deformation: offsets of attributes in each frame; None: a static layer.

    Raises:
        UserError: parts whose widths or SH degrees differ.
    """

    def __init__(
        self,
        gaussians: GaussianParameters,
        triplane: SpatialEncoding,
        canonical: CanonicalMLP,
        deformation: Deformation | None = None,
    ):
        super().__init__()
        require_equal("triplane features", triplane.out_features, "canonical.in_features", canonical.in_features)
        require_equal("gaussians.sh_degree", gaussians.sh_degree, "canonical.sh_degree", canonical.sh_degree)
        self.gaussians = gaussians
        self.triplane = triplane
        self.canonical = canonical
        self.deformation = deformation
        self.deformed: tuple[str, ...] | None = None

    @property
    def num_gaussians(self) -> int:
        """N."""
        return self.gaussians.num_gaussians

    def restrict(self, attributes: Sequence[str] | None) -> None:
        """Deform these attributes only; None: all that the deformation outputs.

        Raises:
            UserError: unknown attributes.
        """
        unknown = sorted(set(attributes or ()) - set(ATTRIBUTES))
        if unknown:
            raise UserError(f"deforms: {unknown[0]!r} is not one of {', '.join(ATTRIBUTES)}")
        self.deformed = None if attributes is None else tuple(attributes)

    def fit(self, subject: SubjectStatistics) -> None:
        """Initialise the Gaussians, and fit the modules to the training frames.

        Raises:
            UserError: unusable start points (see `resample_points`).
        """
        self.gaussians.initialize(subject.vertices, subject.vertex_colors)
        self.triplane.fit_bounds(subject.vertices)
        if self.deformation is not None:
            self.deformation.fit(subject)

    def raw(self, mode: str) -> RawGaussians:
        """Attributes before deformation and activation."""
        return self.canonical_raw() if mode in PREDICTED_MODES else self.gaussians.raw()

    def canonical_raw(self) -> RawGaussians:
        """Explicit parameters, with the predicted attributes instead where there are any."""
        predicted = self.canonical(self._features()) if self.canonical.factors else {}
        return replace(self.gaussians.raw(), **predicted)

    def deforms(self, mode: str) -> bool:
        """Whether the layer is deformed in this mode."""
        return mode != "canonical" and self.deformation is not None and self.deformed != ()

    def prepare(self) -> Any:
        """Condition-independent inputs of the deformation."""
        return self.deformation.prepare(self._features(), self.gaussians.params["means"].detach())

    def offsets(self, prepared: Any, signals: Mapping[str, Tensor], conditions: Conditions) -> dict[str, Tensor]:
        """Offsets [frame, gaussian, ...] of raw attributes, float32."""
        offsets = self.deformation(prepared, signals, conditions)
        return {name: value for name, value in offsets.items() if self.deformed is None or name in self.deformed}

    def activated(
        self, raw: RawGaussians, offsets: Mapping[str, Tensor], conditions: Conditions, active_sh_degree: int
    ) -> Gaussians:
        """Gaussians of B frames as they are drawn."""
        with without_autocast(raw.means):
            moved = {name: getattr(raw, name) + offset for name, offset in offsets.items()}
            degree = min(active_sh_degree, self.gaussians.sh_degree)
            return replace(raw, **moved).activate(conditions.viewmats, degree)

    @torch.no_grad()
    def bake_canonical(self, active_sh_degree: int) -> None:
        """Write the predicted attributes into the explicit parameters: at the end of the stage, and before pruning, which
        would otherwise use stale opacities (GaussianTalker).

        Bands of the spherical harmonics above `active_sh_degree` become 0: they were never rendered, so the network's
        predictions for them are noise, which the next stage would render.
        """
        if self.canonical.factors:
            with without_autocast(self.gaussians.params["means"]):
                predicted = self.canonical(self._features())
                if "sh" in predicted:
                    predicted["sh"][:, (active_sh_degree + 1) ** 2 :] = 0
                self.gaussians.assign(predicted)

    def _features(self) -> Float[Tensor, "gaussian feature"]:
        return self.triplane(self.gaussians.params["means"])


def require_equal(first_name: str, first: int, second_name: str, second: int) -> None:
    """Raise a UserError that names two settings of the model which must agree."""
    if first != second:
        raise UserError(f"model: {first_name} ({first}) and {second_name} ({second}) must be equal")
