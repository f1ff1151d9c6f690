"""EGSTalker (Zhu et al., IEEE SMC 2025): KAN token networks and attention through agents."""

from __future__ import annotations

from talksplat.models.gaussiantalker import GaussianTalker


class EGSTalker(GaussianTalker):
    """GaussianTalker with other parts, which its configuration names: `TokenKAN` makes the tokens, `AgentAttention` fuses
    them into the Gaussians' features, `PeriodicPositionCode` distinguishes them (EGSTalker). All else is shared,
    so that a comparison of the two models is one of these parts."""
