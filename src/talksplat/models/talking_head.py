"""What every avatar shares: Gaussians, tri-plane, canonical head, and the way from raw parameters to a frame."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from talksplat.errors import UserError
from talksplat.models.box import BoxedFeatures
from talksplat.models.canonical import CanonicalMLP
from talksplat.models.gaussians import GaussianParameters, RawGaussians
from talksplat.models.heads import without_autocast
from talksplat.models.speech_encoder import SpeechEncoder
from talksplat.models.start_points import resample_points
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

    def _fit_mouth(self, center: Float[Tensor, 3]) -> None:
        """Take the place of the mouth (dm)."""

    def _fit_cameras(self, viewmats: Float[Tensor, "frame 4 4"]) -> None:
        """Take what is needed from the training cameras."""

    def _fit_audio(self, features: Float[Tensor, "frame window feature"]) -> None:
        """Take what is needed from the training frames' audio windows."""

    @torch.no_grad()
    def attention(self, conditions: Conditions) -> Float[Tensor, "frame gaussian token"]:
        """How much each Gaussian attends to each of `token_names`."""
        return torch.zeros(len(conditions), self.num_gaussians, 0, device=conditions.viewmats.device)

    # What all share.

    @property
    def num_gaussians(self) -> int:
        """N."""
        return self.gaussians.num_gaussians

    def setup_subject(
        self,
        vertices: np.ndarray | Tensor,
        vertex_colors: np.ndarray | Tensor | None,
        viewmats_train: np.ndarray | Tensor,
        audio_train: np.ndarray | Tensor | None = None,
        mouth: np.ndarray | Tensor | None = None,
        num_points: int | None = None,
        seed: int = 0,
    ) -> None:
        """Place the Gaussians, the tri-plane's box and the camera statistics; all of it is part of the state dict.

        Args:
            vertices: [V, 3] start points in dm.
            vertex_colors: uint8 [V, 3], or None for grey.
            viewmats_train: [F, 4, 4] of the training frames only.
            audio_train: [F, window, width] audio windows of the training frames; None: not standardised.
            mouth: [3] middle of the lips in dm; None: unknown.
            num_points: thin out or densify the start points to this number; None keeps them.

        Raises:
            UserError: unusable points (see `resample_points`) or no training camera.
        """
        if len(viewmats_train) == 0:
            raise UserError("the training split has no frames; check transforms_train.json")
        colors = None if vertex_colors is None else np.asarray(vertex_colors)
        points, colors = resample_points(np.asarray(vertices), colors, num_points, seed)
        device = self.triplane.bounds.device
        self.gaussians.initialize(points, colors)
        self.triplane.fit_bounds(torch.as_tensor(points, device=device))
        self._fit_cameras(torch.as_tensor(viewmats_train, dtype=torch.float32, device=device))
        if mouth is not None:
            self._fit_mouth(torch.as_tensor(mouth, dtype=torch.float32, device=device))
        if audio_train is not None:
            self._fit_audio(torch.as_tensor(audio_train, dtype=torch.float32, device=device))
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
    def bake_canonical(self) -> None:
        """Write the predicted factors into the explicit parameters: for handing over to the next stage, and before
        pruning, which would otherwise judge stale opacities (GaussianTalker section 5.3)."""
        if self.canonical.factors:
            with without_autocast(self.gaussians.params["means"]):
                self.gaussians.assign(self.canonical(self._features()))

    def canonical_modules(self) -> list[nn.Module]:
        """Modules that predict the canonical head."""
        return [self.canonical]

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """Parameters besides the Gaussians' own: "networks", "triplane", and "audio_backbone" for the layers of a speech
        model that are not frozen."""
        modules = [*self.canonical_modules(), *self.deform_modules()]
        speech = [] if self.speech_encoder is None else list(self.speech_encoder.backbone.parameters())
        known = {id(parameter) for parameter in speech}
        networks = [parameter for module in modules for parameter in module.parameters() if id(parameter) not in known]
        groups = {"networks": networks, "triplane": list(self.triplane.parameters())}
        opened = [parameter for parameter in speech if parameter.requires_grad]
        return {**groups, "audio_backbone": opened} if opened else groups

    def unfreeze_audio_layers(self, count: int) -> None:
        """Train the last `count` layers of the speech model inside, and freeze the others.

        Raises:
            UserError: there is no speech model, or it has fewer layers.
        """
        if self.speech_encoder is not None:
            self.speech_encoder.unfreeze(count)
        elif count:
            raise UserError(
                f"unfreeze_audio_layers={count}, but this avatar listens to features made beforehand: choose "
                "experiment=finetune_speech, whose model has a speech model inside"
            )


def require_equal(first_name: str, first: int, second_name: str, second: int) -> None:
    """Raise a UserError that names two settings of the model which must agree."""
    if first != second:
        raise UserError(f"model: {first_name} ({first}) and {second_name} ({second}) must be equal")


def concatenate(parts: list[Gaussians]) -> Gaussians:
    """Join chunks along the frame axis."""
    names = ("means", "quats", "scales", "opacities", "colors")
    return Gaussians(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})
