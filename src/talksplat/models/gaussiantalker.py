"""GaussianTalker (Cho et al., ACM MM 2024): tri-plane queries, condition tokens, attention, deformation heads."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from talksplat.errors import UserError
from talksplat.models.attention import PreparedQueries, SpatialAudioAttention
from talksplat.models.box import BoxedFeatures
from talksplat.models.canonical import CanonicalMLP
from talksplat.models.deformation import DeformationHeads
from talksplat.models.expression import at_rest
from talksplat.models.gaussians import GaussianParameters
from talksplat.models.speech_encoder import SpeechEncoder
from talksplat.models.subject_statistics import SubjectStatistics
from talksplat.models.talking_head import TalkingHead, require_equal
from talksplat.models.tokens import ConditionTokens
from talksplat.types import Conditions


@dataclass
class PreparedHead:
    """What of the deformation depends on no condition."""

    features: Float[Tensor, "gaussian feature"]
    attention: PreparedQueries


class GaussianTalker(TalkingHead):
    """Each Gaussian's tri-plane feature attends to the tokens of a frame and is decoded to offsets of its attributes.

    Args:
        tokens: what drives a frame.
        cross_attention: how the tokens reach the Gaussians.
        deformation: attended features to offsets.
        motion: offsets linear in the head's recent motion (`models.motion`), or null.
        expression: offsets linear in action units (`models.expression`), or null.
        reach: prior of the attention to sound (`models.reach`), or null.
        unit_dropout: share of the frames in training that are shown with a face at rest and open eyes: brows and lids of one
            person alone predict the lips (correlation 0.59), but new speech comes without them.
        gaussians, triplane, canonical, max_points: see `TalkingHead`.
    """

    def __init__(
        self,
        gaussians: GaussianParameters,
        triplane: BoxedFeatures,
        canonical: CanonicalMLP,
        tokens: ConditionTokens,
        cross_attention: SpatialAudioAttention,
        deformation: DeformationHeads,
        motion: nn.Module | None = None,
        expression: nn.Module | None = None,
        reach: nn.Module | None = None,
        unit_dropout: float = 0.0,
        max_points: int = 524_288,
    ):
        super().__init__(gaussians, triplane, canonical, max_points)
        if not 0 <= unit_dropout < 1:
            raise UserError(f"model.unit_dropout={unit_dropout} must be at least 0 and below 1")
        require_equal("triplane features", triplane.out_features, "cross_attention.width", cross_attention.width)
        require_equal(
            "cross_attention.width", cross_attention.width, "deformation.in_features", deformation.in_features
        )
        require_equal("gaussians.sh_degree", gaussians.sh_degree, "deformation.sh_degree", deformation.sh_degree)
        if reach is not None and not cross_attention.takes_prior:
            raise UserError(
                "model.reach needs weights that a prior can act on: set model.reach=null, or "
                "model.cross_attention.mixer.computation=fused"
            )
        if cross_attention.num_tokens is not None:
            require_equal(
                "cross_attention.mixer.num_tokens", cross_attention.num_tokens, "number of tokens", len(tokens.names)
            )
        self.tokens = tokens
        self.cross_attention = cross_attention
        self.deformation = deformation
        self.motion = motion
        self.expression = expression if expression is not None and expression.units else None
        self.reach = reach
        self.unit_dropout = unit_dropout

    @property
    def token_names(self) -> tuple[str, ...]:
        """Names of the tokens, in order."""
        return self.tokens.names

    def deform_modules(self) -> list[nn.Module]:
        """Tokens, attention and heads."""
        modules = [self.tokens, self.cross_attention, self.deformation, self.motion, self.expression]
        return [module for module in modules if module is not None]

    @property
    def speech_encoder(self) -> SpeechEncoder | None:
        """The audio token's encoder if it has a speech model inside."""
        return self.tokens.speech_encoder

    def _fit(self, subject: SubjectStatistics) -> None:
        self.tokens.fit_cameras(subject.viewmats)
        self.tokens.fit_audio(subject)
        if self.motion is not None:
            self.motion.fit(subject.viewmats)
        if self.reach is not None and subject.mouth is not None:
            self.reach.fit(subject.mouth)

    def _prepare(self, features: Float[Tensor, "gaussian feature"]) -> PreparedHead:
        means = self.gaussians.params["means"].detach()
        prior = None if self.reach is None else self.reach(means, self.token_names)
        return PreparedHead(features, self.cross_attention.prepare(features, means, prior))

    def _deform(self, prepared: PreparedHead, conditions: Conditions) -> dict[str, Tensor]:
        if self.training and self.unit_dropout:
            conditions = at_rest(conditions, self.unit_dropout)
        offsets = self.deformation(self.cross_attention(prepared.attention, self.tokens(conditions)))
        linear = []
        if self.motion is not None:
            means = self.gaussians.params["means"].detach()
            linear.append(self.motion(prepared.features, means, conditions.motion, conditions.viewmats))
        if self.expression is not None:
            linear.append(self.expression(prepared.features, conditions))
        if linear:
            offsets["means"] = sum(linear, start=offsets.get("means", 0.0))
        return offsets

    @property
    def has_attention(self) -> bool:
        """Plain fusions have no weights."""
        return self.cross_attention.has_weights

    @torch.no_grad()
    def attention(self, conditions: Conditions) -> Float[Tensor, "frame gaussian token"]:
        """How much each Gaussian attends to each token in the last layer; rows sum to one."""
        step = max(self.max_points // max(self.num_gaussians, 1), 1)
        prepared = self._prepared().attention
        parts = [
            self.cross_attention.weights(prepared, self.tokens(conditions.index(slice(start, start + step))))
            for start in range(0, len(conditions), step)
        ]
        return torch.cat(parts).float()
