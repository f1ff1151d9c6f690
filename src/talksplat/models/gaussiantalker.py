"""GaussianTalker (Cho et al., ACM MM 2024): tri-plane queries, condition tokens, attention, deformation heads."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from talksplat.models.conditioning.attention import SpatialAudioAttention
from talksplat.models.conditioning.tokens import ConditionTokens
from talksplat.models.deformation.attention_deformation import AttentionDeformation
from talksplat.models.deformation.base import DeformationHeads
from talksplat.models.gaussians.canonical import CanonicalMLP
from talksplat.models.gaussians.parameters import GaussianParameters
from talksplat.models.gaussians.spatial_encoding import SpatialEncoding
from talksplat.models.layer import require_equal
from talksplat.models.talking_head import TalkingHead


class GaussianTalker(TalkingHead):
    """One layer, deformed by attention to the tokens of a frame.

    Args:
        tokens: of the conditions of a frame.
        cross_attention, deformation, motion, expression, reach: parts of `AttentionDeformation`; `deformation` are its heads.
        gaussians, triplane, canonical, personal, unit_dropout, max_points: see `TalkingHead`.

    Raises:
        UserError: parts that are incompatible.
    """

    def __init__(
        self,
        gaussians: GaussianParameters,
        triplane: SpatialEncoding,
        canonical: CanonicalMLP,
        tokens: ConditionTokens,
        cross_attention: SpatialAudioAttention,
        deformation: DeformationHeads,
        motion: nn.Module | None = None,
        expression: nn.Module | None = None,
        reach: nn.Module | None = None,
        personal: Sequence[str] = (),
        unit_dropout: float = 0.0,
        max_points: int = 524_288,
    ):
        require_equal("triplane features", triplane.out_features, "cross_attention.width", cross_attention.width)
        require_equal("gaussians.sh_degree", gaussians.sh_degree, "deformation.sh_degree", deformation.sh_degree)
        moved = AttentionDeformation(cross_attention, deformation, tokens.names, motion, expression, reach)
        shared = {"tokens": tokens}
        super().__init__(gaussians, triplane, canonical, moved, shared, personal, unit_dropout, max_points)
