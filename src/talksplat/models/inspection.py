"""Inspection of an avatar: undeformed Gaussians, deformed attributes, attention weights."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from talksplat.models.avatar import Avatar, joined
from talksplat.types import Conditions, Gaussians


@torch.no_grad()
def undeformed(avatar: Avatar, conditions: Conditions, mode: str, active_sh_degree: int) -> Gaussians:
    """The Gaussians of mode "deform" or "joint", in the same order, without deformation."""
    avatar.bind(conditions.subject)
    layers = avatar.layers.values()
    return joined([layer.activated(layer.raw(mode), {}, conditions, active_sh_degree) for layer in layers], 1)


@torch.no_grad()
def deformed_by_layer(avatar: Avatar, conditions: Conditions) -> dict[str, tuple[str, ...]]:
    """Names of the raw attributes that are deformed in each layer."""
    avatar.bind(conditions.subject)
    prepared = avatar.prepared("deform")
    signals, conditions = avatar.signals(conditions) if prepared else ({}, conditions)
    return {name: tuple(avatar.layers[name].offsets(ready, signals, conditions)) for name, ready in prepared.items()}


def deformed_attributes(avatar: Avatar, conditions: Conditions) -> tuple[str, ...]:
    """Names of the raw attributes that are deformed in any layer."""
    by_layer = deformed_by_layer(avatar, conditions).values()
    return tuple(dict.fromkeys(name for names in by_layer for name in names))


@torch.no_grad()
def attention(avatar: Avatar, conditions: Conditions) -> Float[Tensor, "frame gaussian token"]:
    """Attention weights of each Gaussian on each of `token_names`; 0 in layers without attention."""
    avatar.bind(conditions.subject)
    step = max(avatar.max_points // max(avatar.num_gaussians, 1), 1)
    prepared, chunks = avatar.prepared("deform"), []
    for start in range(0, len(conditions), step):
        some = conditions.index(slice(start, start + step))
        signals, some = avatar.signals(some)
        weights = []
        for name, layer in avatar.layers.items():
            if name in prepared and layer.deformation.has_attention:
                weights.append(layer.deformation.attention(prepared[name], signals))
            else:
                shape = (len(some), layer.num_gaussians, len(avatar.token_names))
                weights.append(torch.zeros(shape, device=avatar.device))
        chunks.append(torch.cat(weights, 1))
    return torch.cat(chunks)
