"""Names of the shipped experiments and sweeps."""

from __future__ import annotations

from pathlib import Path

from omegaconf import OmegaConf

from talksplat.config import CONF_DIR


def names(folder: str, below: str = "") -> list[str]:
    """Files of `conf/FOLDER` whose names start with `below`, with their folders and without .yaml."""
    root = CONF_DIR / folder
    found = (path.relative_to(root).as_posix().removesuffix(".yaml") for path in sorted(root.rglob("*.yaml")))
    return [name for name in found if name.startswith(below)]


def missing_parts(name: str) -> list[str]:
    """Parts of a model that an experiment chooses and that are not there."""
    entries = OmegaConf.to_container(OmegaConf.load(CONF_DIR / "experiment" / f"{name}.yaml")).get("defaults", [])
    chosen = [item for entry in entries if isinstance(entry, dict) for item in entry.items()]
    files = [Path(group.removeprefix("override /")) / f"{choice}.yaml" for group, choice in chosen]
    return [str(file) for file in files if not (CONF_DIR / file).is_file()]
