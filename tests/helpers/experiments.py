"""Names of the shipped experiments and sweeps."""

from __future__ import annotations

from talksplat.config import CONF_DIR


def names(folder: str, below: str = "") -> list[str]:
    """Files of `conf/FOLDER` whose names start with `below`, with their folders and without .yaml."""
    root = CONF_DIR / folder
    found = (path.relative_to(root).as_posix().removesuffix(".yaml") for path in sorted(root.rglob("*.yaml")))
    return [name for name in found if name.startswith(below)]
