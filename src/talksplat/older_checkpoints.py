"""Checkpoints of version 0.1: names from before avatars had layers, and groups of its optimiser, become today's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn
from torch.optim import Optimizer

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


def regrouped(older: Sequence[tuple[str, nn.Parameter]], networks: Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    """State of the networks' optimiser in today's groups, if it has a group per parameter of `learning_rates.rates`.

    Args:
        older: group that each parameter had, in the order within the groups.
        networks: today's optimiser.
        state: as saved.
    """
    saved, groups = ({group["name"]: group for group in one["param_groups"]} for one in (state, networks.state_dict()))
    if saved.keys() == groups.keys() or saved.keys() != {name for name, _ in older}:
        return state
    places = {name: iter(group["params"]) for name, group in saved.items()}
    place_of = {id(parameter): next(places[name]) for name, parameter in older}
    order = [parameter for group in networks.param_groups for parameter in group["params"]]
    moments = {index: state["state"].get(place_of[id(parameter)]) for index, parameter in enumerate(order)}
    return {
        "state": {index: moment for index, moment in moments.items() if moment is not None},
        "param_groups": [
            {**state["param_groups"][0], "name": name, "params": group["params"]} for name, group in groups.items()
        ],
    }
