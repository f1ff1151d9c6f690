"""A model with two layers: a mouth of its own under the face."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from talksplat.models.avatar import Avatar
from talksplat.models.compositor import Over
from talksplat.models.deformation.attention_deformation import AttentionDeformation
from talksplat.models.deformation.base import Deformation
from talksplat.models.layer import GaussianLayer
from talksplat.models.subject_statistics import SubjectStatistics

NEAR = 60  # start points around the mouth


class TokenShift(Deformation):
    """Offsets of positions from a Gaussian's feature and the mean of the tokens."""

    def __init__(self, features: int, width: int):
        super().__init__()
        self.network = nn.Sequential(nn.Linear(features + width, 16), nn.ReLU(), nn.Linear(16, 3))
        nn.init.normal_(self.network[-1].weight, std=1e-3)

    def forward(self, prepared: Tensor, signals: Mapping[str, Tensor], conditions) -> dict[str, Tensor]:
        token = signals["tokens"].mean(1)[:, None].expand(-1, len(prepared), -1)
        features = prepared.expand(len(token), -1, -1)
        return {"means": self.network(torch.cat([features, token], -1)).float()}


class MouthLayer(GaussianLayer):
    """Gaussians that start around the lips."""

    def fit(self, subject: SubjectStatistics) -> None:
        distance = (subject.vertices - subject.mouth).norm(dim=-1)
        near = distance.argsort()[:NEAR]
        super().fit(replace(subject, vertices=subject.vertices[near], vertex_colors=subject.vertex_colors[near]))


class MouthAndFace(Avatar):
    """GaussianTalker's face over a mouth."""

    def __init__(
        self,
        gaussians,
        triplane,
        canonical,
        tokens,
        cross_attention,
        deformation,
        mouth,
        motion,
        expression,
        reach,
        unit_dropout,
        max_points,
        personal,
    ):
        moved = AttentionDeformation(cross_attention, deformation, tokens.names, motion, expression, reach)
        layers = {"mouth": mouth, "face": GaussianLayer(gaussians, triplane, canonical, moved)}
        super().__init__(layers, {"tokens": tokens}, Over(["mouth", "face"]), personal, unit_dropout, max_points)
