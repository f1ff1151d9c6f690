"""Model size: parameters, and bytes of the weights that rendering needs."""

from __future__ import annotations

from typing import Any

from torch import nn

from talksplat.models.avatar import Avatar
from talksplat.models.layer import PREDICTED_MODES, GaussianLayer


def model_size(model: Avatar, mode: str) -> dict[str, Any]:
    """Size of a finished avatar that is rendered in `mode`, the mode of its last stage.

    Counts what that mode uses. "deform": without the canonical networks, whose predictions were baked into the explicit
    attributes, and without the tri-plane where nothing deforms. "canonical": without the deformation, and without the
    explicit attributes that predicted ones replace. "joint": without the latter. Frozen layers count, since rendering
    needs them; shared tensors count once.

    Returns:
        {"parameters": {"networks": tri-plane and networks, "gaussians": N times the parameters of each},
        "size_bytes": bytes of these and of the buffers, as in a state dict}
    """
    unused = unused_tensors(model, mode)
    of_gaussians = {key for layer in model.layers.values() for key in _tensors(layer.gaussians)}
    live = {key: tensor for key, tensor in _tensors(model).items() if key not in unused}
    counts = {"networks": 0, "gaussians": 0}
    for key, tensor in live.items():
        if isinstance(tensor, nn.Parameter):
            counts["gaussians" if key in of_gaussians else "networks"] += tensor.numel()
    size = sum(tensor.numel() * tensor.element_size() for tensor in live.values())
    return {"parameters": counts, "size_bytes": size}


def unused_tensors(model: Avatar, mode: str) -> set[int]:
    """Identities of the parameters and buffers that take no part in drawing in `mode`, of the subject in place."""
    unused: set[int] = set()
    for layer in model.layers.values():
        unused |= _tensors(nn.ModuleList(_unused_modules(layer, mode))).keys()
        if mode in PREDICTED_MODES:
            unused |= {id(layer.gaussians.params[name]) for name in _predicted(layer)}
    if not any(layer.deforms(mode) for layer in model.layers.values()):
        unused |= _tensors(model.shared).keys()
    return unused


def _unused_modules(layer: GaussianLayer, mode: str) -> list[nn.Module]:
    deformation = [] if layer.deformation is None else [layer.deformation]
    if mode == "canonical":
        return deformation + ([] if layer.canonical.factors else [layer.triplane])
    if mode == "joint":
        return []
    return [layer.canonical] + ([] if deformation else [layer.triplane])


def _predicted(layer: GaussianLayer) -> list[str]:
    """Names in `GaussianParameters.params` of what the canonical networks predict."""
    parts = {"sh": ("sh0", "shN")}
    return [name for factor in layer.canonical.factors for name in parts.get(factor, (factor,))]


def _tensors(module: nn.Module) -> dict[int, Any]:
    """Parameters and persistent buffers by identity; of several subjects, those of the one that is bound."""
    found = {id(parameter): parameter for parameter in module.parameters()}
    for part in module.modules():
        buffers = part._buffers.items()
        found |= {id(b): b for name, b in buffers if b is not None and name not in part._non_persistent_buffers_set}
    return found
