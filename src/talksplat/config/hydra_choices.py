"""Hydra's choices that made a configuration: they cannot be read off its settings any more.

The key for them in `config.yaml` is `chosen`.
"""

from __future__ import annotations

from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

EXPERIMENT = "experiment"


def hydra_choices(hydra: DictConfig) -> dict[str, Any]:
    """Choice of each group, experiments in their order, and the overrides as given.

    Args:
        hydra: Hydra's own node of a composed configuration, or `HydraConfig.get()`.
    """
    overrides = [str(override) for override in hydra.overrides.task]
    groups = {
        str(group): choice
        for group, choice in hydra.runtime.choices.items()
        if not str(group).startswith("hydra") and str(group).split("@")[0] != EXPERIMENT
    }
    # Hydra leaves a group out of its choices where several were chosen at once. A sweep's rows have a slot of their own,
    # `experiment@_global_`, which is composed after the other.
    slots: dict[bool, list[str]] = {False: [], True: []}
    for override in OverridesParser.create().parse_overrides(overrides):
        if override.key_or_group == EXPERIMENT:
            value = override.value()
            names = value if isinstance(value, list) else [value]
            slots[override.package is not None] = [str(name) for name in names if name is not None]
    return {"groups": groups, "experiments": slots[False] + slots[True], "overrides": overrides}
