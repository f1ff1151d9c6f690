"""Deformation by attention to condition tokens (GaussianTalker), with optional linear offsets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from talksplat.errors import UserError
from talksplat.models.conditioning.attention import PreparedQueries, SpatialAudioAttention
from talksplat.models.deformation.base import Deformation, DeformationHeads
from talksplat.models.layer import require_equal
from talksplat.models.subject_statistics import SubjectStatistics
from talksplat.types import Conditions


@dataclass
class PreparedLayer:
    """Condition-independent inputs of the deformation."""

    features: Float[Tensor, "gaussian feature"]
    means: Float[Tensor, "gaussian 3"]
    attention: PreparedQueries


class AttentionDeformation(Deformation):
    """Each Gaussian's tri-plane feature attends to the tokens of a frame and is decoded to offsets of its attributes.

    Args:
        cross_attention: fuses the tokens into the features of the Gaussians.
        heads: fused features to offsets.
        motion: offsets linear in the head's recent motion (`MotionOffsets`), or None.
        expression: offsets linear in action units (`ExpressionOffsets`), or None.
        reach: prior on the attention to sound (`AudioAttentionPrior`), or None.
        token_names: of `signals["tokens"]`, in order.

    Raises:
        UserError: parts that are incompatible.
    """

    def __init__(
        self,
        cross_attention: SpatialAudioAttention,
        heads: DeformationHeads,
        token_names: Sequence[str],
        motion: nn.Module | None = None,
        expression: nn.Module | None = None,
        reach: nn.Module | None = None,
    ):
        super().__init__()
        require_equal("cross_attention.width", cross_attention.width, "deformation.in_features", heads.in_features)
        if reach is not None and not cross_attention.takes_prior:
            raise UserError(
                "model.reach needs attention weights that take a prior: set model.reach=null, or "
                "model.cross_attention.mixer.computation=fused"
            )
        if cross_attention.num_tokens is not None:
            require_equal(
                "cross_attention.mixer.num_tokens", cross_attention.num_tokens, "number of tokens", len(token_names)
            )
        self.cross_attention = cross_attention
        self.heads = heads
        self.motion = motion
        self.expression = expression if expression is not None and expression.units else None
        self.reach = reach
        self.token_names = tuple(token_names)

    @property
    def has_attention(self) -> bool:
        """Whether the fusion has attention weights."""
        return self.cross_attention.has_weights

    def fit(self, subject: SubjectStatistics) -> None:
        """Set mean pose and position of the mouth."""
        if self.motion is not None:
            self.motion.fit(subject.viewmats)
        if self.reach is not None and subject.mouth is not None:
            self.reach.fit(subject.mouth)

    def prepare(self, features: Float[Tensor, "gaussian feature"], means: Float[Tensor, "gaussian 3"]) -> PreparedLayer:
        """Queries and prior of the attention."""
        prior = None if self.reach is None else self.reach(means, self.token_names)
        return PreparedLayer(features, means, self.cross_attention.prepare(features, means, prior))

    def forward(
        self, prepared: PreparedLayer, signals: Mapping[str, Tensor], conditions: Conditions
    ) -> dict[str, Tensor]:
        """Offsets of the deformed attributes."""
        offsets = self.heads(self.cross_attention(prepared.attention, signals["tokens"]))
        linear = []
        if self.motion is not None:
            linear.append(self.motion(prepared.features, prepared.means, conditions.motion, conditions.viewmats))
        if self.expression is not None:
            linear.append(self.expression(prepared.features, conditions))
        if linear:
            offsets["means"] = sum(linear, start=offsets.get("means", 0.0))
        return offsets

    def attention(
        self, prepared: PreparedLayer, signals: Mapping[str, Tensor]
    ) -> Float[Tensor, "frame gaussian token"]:
        """Attention weights of the last layer; rows sum to one."""
        return self.cross_attention.weights(prepared.attention, signals["tokens"]).float()
