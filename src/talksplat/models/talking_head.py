"""What every avatar shares: Gaussians, tri-plane, canonical head, and the way from raw parameters to a frame."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from talksplat.errors import UserError
from talksplat.models.box import BoxedFeatures
from talksplat.models.canonical import CanonicalMLP
from talksplat.models.gaussians import GaussianParameters, RawGaussians
from talksplat.models.heads import without_autocast
from talksplat.models.speech_encoder import SpeechEncoder
from talksplat.models.subject_statistics import SubjectStatistics
from talksplat.types import Conditions, Gaussians

MODES = ("canonical", "deform", "joint")
PREDICTED_MODES = ("canonical", "joint")  # in which the canonical networks' predictions count


class TalkingHead(nn.Module):
    """Base of all avatars. In mode "canonical" the factors predicted from the tri-plane stand in for the explicit
    parameters; in mode "deform" the explicit parameters count, moved by `_deform`; in mode "joint" the predicted factors are
    moved, for training both at once (GaussianTalker section 7.4).

    Args:
        gaussians: the explicit parameters.
        triplane: features of positions.
        canonical: predicts some attributes from those features.
        max_points: frames times Gaussians worked on at once where no gradient is wanted, which bounds memory.

    Raises:
        UserError: parts whose widths or SH degrees differ.
    """

    def __init__(
        self, gaussians: GaussianParameters, triplane: BoxedFeatures, canonical: CanonicalMLP, max_points: int = 524_288
    ):
        super().__init__()
        require_equal("triplane features", triplane.out_features, "canonical.in_features", canonical.in_features)
        require_equal("gaussians.sh_degree", gaussians.sh_degree, "canonical.sh_degree", canonical.sh_degree)
        self.gaussians = gaussians
        self.triplane = triplane
        self.canonical = canonical
        self.max_points = max_points
        self._frozen: Any = None

    # What a subclass may add.

    @property
    def token_names(self) -> tuple[str, ...]:
        """Names of what drives the avatar, in the order of `attention`."""
        return ()

    @property
    def has_attention(self) -> bool:
        """Whether Gaussians attend to the tokens, so that `attention` has weights to give."""
        return False

    @property
    def speech_encoder(self) -> SpeechEncoder | None:
        """The part that has a pretrained speech model inside."""
        return None

    def deform_modules(self) -> list[nn.Module]:
        """Modules that only deformation needs."""
        return []

    def _prepare(self, features: Float[Tensor, "gaussian feature"]) -> Any:
        """What of the deformation depends on no condition; `_deform` takes it."""
        return features

    def _deform(self, prepared: Any, conditions: Conditions) -> dict[str, Tensor]:
        """Offsets [frame, gaussian, ...] of raw attributes, float32."""
        return {}

    def _fit(self, subject: SubjectStatistics) -> None:
        """Take what is needed from the training frames."""

    @torch.no_grad()
    def attention(self, conditions: Conditions) -> Float[Tensor, "frame gaussian token"]:
        """How much each Gaussian attends to each of `token_names`."""
        return torch.zeros(len(conditions), self.num_gaussians, 0, device=conditions.viewmats.device)

    # What all share.

    @property
    def num_gaussians(self) -> int:
        """N."""
        return self.gaussians.num_gaussians

    def setup_subject(self, subject: SubjectStatistics) -> None:
        """Place the Gaussians and take what is needed from the training frames; all of it is part of the state dict.

        Raises:
            UserError: unusable start points (see `resample_points`) or no training camera.
        """
        if len(subject.viewmats) == 0:
            raise UserError("the training split has no frames; check transforms_train.json")
        subject = subject.to(self.triplane.bounds.device)
        self.gaussians.initialize(subject.vertices, subject.vertex_colors)
        self.triplane.fit_bounds(subject.vertices)
        self._fit(subject)
        self._frozen = None

    def resize(self, num_gaussians: int) -> None:
        """Make room for a checkpoint of `num_gaussians`, before `load_state_dict`."""
        self.gaussians.resize(num_gaussians)
        self._frozen = None

    def forward(self, conditions: Conditions, mode: str, active_sh_degree: int) -> Gaussians:
        """Activated Gaussians of B frames.

        Args:
            mode: one of `MODES`.
            active_sh_degree: SH degree that counts so far, at most `gaussians.sh_degree`.
        """
        if mode not in MODES:
            raise ValueError(f"mode must be one of {MODES}, not {mode!r}")
        raw = self._raw(mode)
        prepared = None if mode == "canonical" or not self.deform_modules() else self._prepared()
        frames = len(conditions)
        step = frames if torch.is_grad_enabled() else max(self.max_points // max(self.num_gaussians, 1), 1)
        parts = [
            self._frames(raw, prepared, conditions.index(slice(start, start + step)), active_sh_degree)
            for start in range(0, frames, step)
        ]
        return parts[0] if len(parts) == 1 else concatenate(parts)

    @torch.no_grad()
    def undeformed(self, conditions: Conditions, mode: str, active_sh_degree: int) -> Gaussians:
        """The Gaussians of mode "deform" or "joint", in their order, as they would be without deformation."""
        return self._frames(self._raw(mode), None, conditions, active_sh_degree)

    @torch.no_grad()
    def deformed_attributes(self, conditions: Conditions) -> tuple[str, ...]:
        """Names of the raw attributes that conditions move."""
        return tuple(self._deform(self._prepared(), conditions)) if self.deform_modules() else ()

    def canonical_raw(self) -> RawGaussians:
        """Explicit parameters with the predicted factors in their place."""
        predicted = self.canonical(self._features()) if self.canonical.factors else {}
        return replace(self.gaussians.raw(), **predicted)

    def _raw(self, mode: str) -> RawGaussians:
        return self.canonical_raw() if mode in PREDICTED_MODES else self.gaussians.raw()

    def _frames(self, raw: RawGaussians, prepared: Any, conditions: Conditions, active_sh_degree: int) -> Gaussians:
        offsets = {} if prepared is None else self._deform(prepared, conditions)
        with without_autocast(raw.means):
            moved = {name: getattr(raw, name) + offset for name, offset in offsets.items()}
            return replace(raw, **moved).activate(conditions.viewmats, active_sh_degree)

    def _features(self) -> Float[Tensor, "gaussian feature"]:
        return self.triplane(self.gaussians.params["means"])

    def _prepared(self) -> Any:
        return self._prepare(self._features()) if self._frozen is None else self._frozen

    @torch.no_grad()
    def freeze_for_inference(self) -> None:
        """Switch to evaluation and keep what no condition changes. Undone by `train`, and by anything here that changes
        the weights; call it again after changing them in another way."""
        self.eval()
        self._frozen = self._prepared()

    def train(self, mode: bool = True) -> TalkingHead:
        """As of any module; also drops what `freeze_for_inference` kept."""
        self._frozen = None
        return super().train(mode)

    def _apply(self, *args, **kwargs):
        self._frozen = None
        return super()._apply(*args, **kwargs)

    def _load_from_state_dict(self, *args, **kwargs):
        self._frozen = None
        return super()._load_from_state_dict(*args, **kwargs)

    @torch.no_grad()
    def bake_canonical(self, active_sh_degree: int) -> None:
        """Write the predicted factors into the explicit parameters: for handing over to the next stage, and before
        pruning, which would otherwise judge stale opacities (GaussianTalker section 5.3).

        Bands of the spherical harmonics above `active_sh_degree` become 0: they were never drawn, so what the network
        predicts for them is noise, and the next stage would draw it.
        """
        if self.canonical.factors:
            with without_autocast(self.gaussians.params["means"]):
                predicted = self.canonical(self._features())
                if "sh" in predicted:
                    predicted["sh"][:, (active_sh_degree + 1) ** 2 :] = 0
                self.gaussians.assign(predicted)

    def canonical_modules(self) -> list[nn.Module]:
        """Modules that predict the canonical head."""
        return [self.canonical]


def require_equal(first_name: str, first: int, second_name: str, second: int) -> None:
    """Raise a UserError that names two settings of the model which must agree."""
    if first != second:
        raise UserError(f"model: {first_name} ({first}) and {second_name} ({second}) must be equal")


def concatenate(parts: list[Gaussians]) -> Gaussians:
    """Join chunks along the frame axis."""
    names = ("means", "quats", "scales", "opacities", "colors")
    return Gaussians(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})
