"""Checkpoints of version 0.1 before avatars had layers: their names become today's."""

from __future__ import annotations

from typing import Any

from talksplat.models.subject_states import FIRST
from talksplat.models.talking_head import FACE

DEFORMATION = f"layers.{FACE}.deformation"
PREFIXES = {
    "gaussians.": f"layers.{FACE}.gaussians.",
    "triplane.": f"layers.{FACE}.triplane.",
    "canonical.": f"layers.{FACE}.canonical.",
    "tokens.": "shared.tokens.",
    "cross_attention.": f"{DEFORMATION}.cross_attention.",
    "deformation.": f"{DEFORMATION}.heads.",
    "motion.": f"{DEFORMATION}.motion.",
    "expression.": f"{DEFORMATION}.expression.",
    "reach.": f"{DEFORMATION}.reach.",
}


def renamed(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """The checkpoint with today's names, changed in place."""
    entry = checkpoint["talksplat"]
    if "layers" in entry or "num_gaussians" not in entry:
        return checkpoint
    entry["layers"] = {FIRST: {FACE: entry["num_gaussians"]}}
    state = checkpoint["state_dict"]
    for name in list(state):
        state[_renamed(name)] = state.pop(name)
    training = checkpoint.get("training")
    if training is not None:
        training["gaussian_optimizers"] = {
            f"{FACE}.{name}": value for name, value in training["gaussian_optimizers"].items()
        }
        training["density"] = {} if training["density"] is None else {FACE: training["density"]}
    return checkpoint


def _renamed(name: str) -> str:
    inner = name.removeprefix("model.")
    if inner == name:
        return name
    for old, new in PREFIXES.items():
        if inner.startswith(old):
            return f"model.{new}{inner.removeprefix(old)}"
    return name
