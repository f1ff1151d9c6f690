"""Avatars: layers of Gaussians, modules that the layers share, and a state of each subject."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from talksplat.errors import UserError
from talksplat.models.compositor import Over, Together
from talksplat.models.conditioning.expression import at_rest
from talksplat.models.conditioning.speech_encoder import SpeechEncoder
from talksplat.models.conditioning.tokens import ConditionTokens
from talksplat.models.layer import MODES, GaussianLayer
from talksplat.models.subject_states import SubjectModule
from talksplat.models.subject_statistics import SubjectStatistics
from talksplat.types import Conditions, Gaussians


class Avatar(SubjectModule):
    """Layers of Gaussians with shared condition modules.

    Tensors that are fitted to a person (`PERSONAL` of each module) exist once for each subject, see `SubjectStates`; all
    others are common to the subjects.

    Args:
        layers: by name, in the order of their Gaussians.
        shared: modules from conditions to signals [frame, ...], computed once for all layers: "tokens".
        compositor: makes the image of the layers; None: one rasterisation of all.
        personal: globs of further parameters and buffers that each subject has for itself.
        unit_dropout: share of the training frames whose blink and action units are set to 0: brows and lids of a person predict
            the lips (correlation 0.59), but new speech comes without them.
        max_points: frames times Gaussians worked on at once where no gradient is wanted, which bounds memory.

    Raises:
        UserError: no layer, or a value out of range.
    """

    def __init__(
        self,
        layers: Mapping[str, GaussianLayer],
        shared: Mapping[str, nn.Module] | None = None,
        compositor: Together | Over | None = None,
        personal: Sequence[str] = (),
        unit_dropout: float = 0.0,
        max_points: int = 524_288,
    ):
        super().__init__(personal)
        if not layers:
            raise UserError("model.layers: an avatar needs at least one layer")
        if not 0 <= unit_dropout < 1:
            raise UserError(f"model.unit_dropout={unit_dropout} must be at least 0 and below 1")
        self.layers = nn.ModuleDict(layers)
        self.shared = nn.ModuleDict(shared or {})
        self.compositor = compositor or Together()
        self.unit_dropout = unit_dropout
        self.max_points = max_points
        names = [*dict(self.named_parameters()), *dict(self.named_buffers())]
        for glob in personal:
            if not any(fnmatchcase(name, glob) for name in names):
                raise UserError(f"model.personal: {glob!r} matches nothing; names are like {names[0]} and {names[-1]}")

    @property
    def num_gaussians(self) -> int:
        """Gaussians of all layers."""
        return sum(layer.num_gaussians for layer in self.layers.values())

    @property
    def sh_degree(self) -> int:
        """Highest degree of spherical harmonics of any layer."""
        return max(layer.gaussians.sh_degree for layer in self.layers.values())

    @property
    def device(self) -> torch.device:
        """Device of the avatar."""
        return next(iter(self.layers.values())).gaussians.params["means"].device

    @property
    def token_names(self) -> tuple[str, ...]:
        """Names of the condition tokens, in the order of `attention`."""
        return self.shared["tokens"].names if "tokens" in self.shared else ()

    @property
    def has_attention(self) -> bool:
        """Whether any layer has attention weights."""
        return any(layer.deformation is not None and layer.deformation.has_attention for layer in self.layers.values())

    @property
    def has_deformation(self) -> bool:
        """Whether any layer is deformed."""
        return any(layer.deformation is not None for layer in self.layers.values())

    @property
    def speech_encoder(self) -> SpeechEncoder | None:
        """The module with a pretrained speech model, if there is one."""
        return next((part for part in self.modules() if isinstance(part, SpeechEncoder)), None)

    # Subjects.

    def setup_subject(self, subject: SubjectStatistics) -> None:
        """Initialise the Gaussians and fit all modules to the training frames of a single subject.

        Raises:
            UserError: unusable start points (see `resample_points`) or no training camera.
        """
        self.setup_subjects([subject])

    def setup_subjects(self, subjects: Sequence[SubjectStatistics]) -> None:
        """The same for several subjects, with a state each; binds the first."""
        self.changed()
        for subject in subjects:
            if len(subject.viewmats) == 0:
                raise UserError("the training split has no frames; check transforms_train.json")
        self.subjects.start(subjects[0].name)
        for subject in subjects[1:]:
            self.subjects.add(subject.name)  # before any is fitted, so that nothing of one gets into another
        self.subjects.are_set_up = True
        subjects = [subject.to(self.device) for subject in subjects]
        for subject in subjects:
            self.bind(subject.name)
            for layer in self.layers.values():
                layer.fit(subject)
            for module in self.shared.values():
                if hasattr(module, "fit"):
                    module.fit(subject)
        for module in self.modules() if len(subjects) > 1 else ():
            if isinstance(module, ConditionTokens):
                module.fit_common(subjects)
        self.bind(subjects[0].name)

    def layer_sizes(self) -> dict[str, dict[str, int]]:
        """Gaussians of each layer, by subject."""
        bound, sizes = self.subjects.bound, {}
        for name in self.subjects.names:
            self.bind(name)
            sizes[name] = {key: layer.num_gaussians for key, layer in self.layers.items()}
        self.bind(bound)
        return sizes

    def resize(self, sizes: Mapping[str, Mapping[str, int]]) -> None:
        """Allocate the Gaussians of a checkpoint, before `load_state_dict`; see `layer_sizes`."""
        self.changed()
        for subject, layers in zip(self.subjects.expect(list(sizes)), sizes.values()):
            self.bind(subject)
            for name, count in layers.items():
                if self.layers[name].num_gaussians != count:
                    self.layers[name].gaussians.resize(count)
        self.bind(self.subjects.names[0])

    # Drawing.

    def parts(self) -> dict[str, slice]:
        """Slices of the Gaussians of each layer in the output of `forward`."""
        ends, parts = 0, {}
        for name, layer in self.layers.items():
            parts[name] = slice(ends, ends + layer.num_gaussians)
            ends += layer.num_gaussians
        return parts

    def forward(self, conditions: Conditions, mode: str, active_sh_degree: int) -> Gaussians:
        """Activated Gaussians of B frames, those of all layers one after another.

        Args:
            conditions: of one subject, which is bound if they name one.
            mode: one of `MODES`.
            active_sh_degree: SH degree in use.
        """
        if mode not in MODES:
            raise ValueError(f"mode must be one of {MODES}, not {mode!r}")
        self.bind(conditions.subject)
        raw = {name: layer.raw(mode) for name, layer in self.layers.items()}
        prepared = self.prepared(mode)
        frames = len(conditions)
        step = frames if torch.is_grad_enabled() else max(self.max_points // max(self.num_gaussians, 1), 1)
        chunks = []
        for start in range(0, frames, step):
            some = conditions.index(slice(start, start + step))
            signals, some = self.signals(some) if prepared else ({}, some)
            moved = {name: self.layers[name].offsets(ready, signals, some) for name, ready in prepared.items()}
            layers = [
                layer.activated(raw[name], moved.get(name, {}), some, active_sh_degree)
                for name, layer in self.layers.items()
            ]
            chunks.append(joined(layers, 1))
        return joined(chunks, 0)

    def signals(self, conditions: Conditions) -> tuple[dict[str, Tensor], Conditions]:
        """Outputs of the shared modules, and the conditions they were computed from (after `unit_dropout`)."""
        if self.training and self.unit_dropout:
            conditions = at_rest(conditions, self.unit_dropout)
        return {name: module(conditions) for name, module in self.shared.items()}, conditions

    def prepared(self, mode: str) -> dict[str, Any]:
        """Condition-independent inputs of each layer that is deformed."""
        known = self._frozen.get(self.subjects.bound)
        if known is not None and mode != "canonical":
            return known
        return {name: layer.prepare() for name, layer in self.layers.items() if layer.deforms(mode)}

    # Stages and inference.

    @torch.no_grad()
    def freeze_for_inference(self) -> None:
        """Switch to evaluation mode and cache the condition-independent inputs of the bound subject. `train` and all methods
        that change the weights drop the cache; call it again after changing them in another way."""
        self.eval()
        self._frozen = {self.subjects.bound: self.prepared("deform")}

    def restrict(self, deforms: Mapping[str, Sequence[str]] | None) -> None:
        """Deform only the listed attributes of the listed layers; None: all of all layers.

        Raises:
            UserError: no such layer or attribute.
        """
        for name in deforms or ():
            if name not in self.layers:
                raise UserError(f"deforms names {name!r}, but the avatar's layers are {', '.join(self.layers)}")
        for name, layer in self.layers.items():
            layer.restrict((deforms or {}).get(name))
        self.changed()

    @torch.no_grad()
    def bake_canonical(self, active_sh_degree: int, layers: Collection[str] | None = None) -> None:
        """`GaussianLayer.bake_canonical` of these layers (None: all) and of all subjects."""
        bound = self.subjects.bound
        for subject in self.subjects.names:
            self.bind(subject)
            for name, layer in self.layers.items():
                if layers is None or name in layers:
                    layer.bake_canonical(active_sh_degree)
        self.bind(bound)

    def train(self, mode: bool = True) -> Avatar:
        """As of any module; also drops the cache of `freeze_for_inference`."""
        self.changed()
        return super().train(mode)


def joined(parts: Sequence[Gaussians], axis: int) -> Gaussians:
    """Bundles concatenated along the frames (0) or the Gaussians (1)."""
    if len(parts) == 1:
        return parts[0]
    names = [field.name for field in fields(Gaussians)]
    return Gaussians(**{name: torch.cat([getattr(part, name) for part in parts], axis) for name in names})
