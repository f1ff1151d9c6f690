"""Name, tags and group of a run, from what was asked for on its command line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from omegaconf import DictConfig

SWEEP_VARIABLE = "TALKSPLAT_SWEEP"  # holds the sweep's name in the process of each of its jobs
NAME_LENGTH, TAG_LENGTH = 64, 64  # Weights & Biases refuses longer tags
NAMED_ANYWAY = ("experiment", "model", "seed", "dataset", "sweep")
INCIDENTAL = ("tracker", "trainer", "paths", "hydra", "resume", "dry_run", "run_dir")


def run_name(config: DictConfig) -> str:
    """E.g. "no_ppe seed1", "paper+no_eye seed0" or "egstalker seed2"; further overrides follow while it stays short."""
    name = f"{variant(config)} seed{config.seed}"
    for override in _other_overrides(config):
        if len(name) + 1 + len(override) <= NAME_LENGTH:
            name += f" {override}"
    return name


def run_tags(config: DictConfig) -> tuple[str, ...]:
    """Model, experiments, dataset, subject and stage preset."""
    groups, root = config.chosen.groups, config.dataset.root
    tags = [_model(config), *config.chosen.experiments, groups.get("dataset"), root and Path(root).name]
    tags.append(groups.get("stage"))
    return tuple(dict.fromkeys(str(tag)[:TAG_LENGTH] for tag in tags if tag))


def sweep_name() -> str | None:
    """The sweep that this process works for."""
    return os.environ.get(SWEEP_VARIABLE) or None


def variant(config: DictConfig) -> str:
    """Experiments, otherwise the model: "no_ppe", "paper+no_eye", "egstalker"."""
    # Not the choice of Hydra's group `experiment`: that is None where several are stacked.
    experiments = [name.rsplit("/", 1)[-1] for name in config.chosen.experiments]
    return "+".join(experiments) or _model(config)


def _model(config: DictConfig) -> str:
    return str(config.chosen.groups.get("model") or config.model["_target_"].rsplit(".", 1)[-1])


def _other_overrides(config: DictConfig) -> Iterator[str]:
    for override in config.chosen.overrides:
        key, _, value = override.lstrip("+~").partition("=")
        group = key.partition(".")[0].partition("@")[0]
        if value and group not in (*NAMED_ANYWAY, *INCIDENTAL) or (group in ("model", "dataset") and "." in key):
            yield f"{'.'.join(key.split('.')[-2:])}={value}"
