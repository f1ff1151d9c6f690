"""Optimisers: one Adam for the networks, one per attribute of the Gaussians."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import nn
from torch.optim import Adam

from talksplat.older_checkpoints import regrouped
from talksplat.training.parameter_table import Entry
from talksplat.training.stage import Stage

GAUSSIAN_EPS = 1e-15  # as in 3D Gaussian splatting, where gradients of single Gaussians are tiny
KINDS = ("networks", "triplane", "audio_backbone", "poses")  # in the order of the groups in checkpoints


class Optimizers:
    """All optimisers of a stage.

    The networks have one group per kind and one per glob of `learning_rates.rates`, since each costs a kernel launch.
    Density control resizes the Gaussians and, as gsplat does, edits one optimiser with one group per attribute. Lightning
    gets the network optimiser only, since it counts a step per optimiser that it steps.

    Args:
        entries: parameters that the stage trains.
        stage: with the learning rates.
        spread: camera spread in dm of each subject, for learning rates that scale with it; shared parameters use the mean,
            and what is fitted to a person has groups of its own then.
        device: of the avatar.
    """

    def __init__(self, entries: Sequence[Entry], stage: Stage, spread: dict[str, float], device: torch.device) -> None:
        self.stage = stage
        self._fused = device.type == "cuda"
        mean_spread = sum(spread.values()) / len(spread)
        groups: dict[tuple[int, str], list[nn.Parameter]] = {}
        older: list[tuple[str, nn.Parameter]] = []  # groups of version 0.1, in the order of the entries
        self._rules: dict[str, tuple[str, Sequence[float] | None, float]] = {}  # kind, rates, spread of a group
        self.gaussians: dict[str, Adam] = {}
        self._of: dict[tuple[str | None, str | None], dict[str, Adam]] = {}
        gaussians = [entry for entry in entries if entry.is_gaussian]
        single = len({(entry.subject, entry.layer) for entry in gaussians}) == 1
        for entry in entries:
            glob, rate = stage.learning_rates.glob_of(entry.name), stage.learning_rates.rate_of(entry.name)
            rule = (entry.kind, rate, spread.get(entry.subject, mean_spread))
            if entry.is_gaussian:
                name = entry.kind if single else _key(entry)
                self._rules[name] = rule
                adam = self._adam([{"name": name, "params": [entry.parameter]}], GAUSSIAN_EPS)
                self.gaussians[_key(entry)] = adam
                self._of.setdefault((entry.subject, entry.layer), {})[entry.kind] = adam
                continue
            owned = entry.subject is not None and stage.learning_rates.scale == "camera_spread"
            name = f"{entry.subject}/{entry.kind}" if owned else entry.kind
            name = name if glob is None else f"{name} of {glob}"
            self._rules[name] = rule
            groups.setdefault((KINDS.index(entry.kind), name), []).append(entry.parameter)
            older.append((entry.kind if glob is None else f"{entry.kind} of {entry.name}", entry.parameter))
        # A model without networks still needs an optimiser, by whose steps Lightning counts.
        if not groups:
            self._rules["networks"] = ("networks", None, mean_spread)
            groups[0, "networks"] = [nn.Parameter(torch.zeros(1, device=device))]
        by_name = [{"name": key[1], "params": groups[key]} for key in sorted(groups)]
        self.networks = self._adam(by_name, stage.learning_rates.network_eps)
        self.networks.register_load_state_dict_pre_hook(partial(regrouped, older))

    def _adam(self, groups: list[dict], eps: float) -> Adam:
        return Adam(groups, lr=0.0, eps=eps, fused=self._fused)

    def all(self) -> tuple[Adam, ...]:
        """All optimisers."""
        return (self.networks, *self.gaussians.values())

    def of_layer(self, subject: str | None, layer: str) -> dict[str, Adam]:
        """Optimisers of a layer's Gaussians by attribute."""
        return self._of.get((subject, layer), {})

    def set_learning_rates(self, step: int) -> None:
        """Learning rates of this step."""
        for group in self._groups():
            kind, rates, spread = self._rules[group["name"]]
            group["lr"] = self.stage.learning_rates.at(kind, step, self.stage.steps, spread, rates)

    def step_gaussians(self) -> None:
        """Step every optimiser of the Gaussians; parameters without a gradient do not change."""
        for optimizer in self.gaussians.values():
            optimizer.step()

    def zero_grad(self) -> None:
        """Drop all gradients."""
        for optimizer in self.all():
            optimizer.zero_grad(set_to_none=True)

    def parameters(self) -> dict[str, list[nn.Parameter]]:
        """Trained parameters by group name."""
        return {group["name"]: group["params"] for group in self._groups()}

    def learning_rates(self) -> dict[str, float]:
        """Current learning rates by group name."""
        return {group["name"]: group["lr"] for group in self._groups()}

    def _groups(self) -> list[dict]:
        return [group for optimizer in self.all() for group in optimizer.param_groups]

    def gaussian_state_dict(self) -> dict[str, dict]:
        """State of the Gaussians' optimisers; Lightning saves that of the networks."""
        return {name: optimizer.state_dict() for name, optimizer in self.gaussians.items()}

    def load_gaussian_state_dict(self, state: dict[str, dict]) -> None:
        """Inverse of `gaussian_state_dict`."""
        for name, optimizer in self.gaussians.items():
            optimizer.load_state_dict(state[name])


def _key(entry: Entry) -> str:
    return entry.name if entry.subject is None else f"{entry.subject}/{entry.name}"
