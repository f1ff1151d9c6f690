"""Finds run folders."""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from talksplat.errors import UserError

logger = logging.getLogger(__name__)


def split_runs(text: str) -> list[str]:
    """Parts of `a,b,c`. A comma inside a name that exists stays: sweeps make folders like `seed=0,model=x`."""
    text = text.strip().removeprefix("[").removesuffix("]")
    pieces, parts = text.split(","), []
    while pieces:
        for count in range(len(pieces), 0, -1):
            candidate = ",".join(pieces[:count]).strip().strip("'\"")
            if count == 1 or _paths(candidate):
                break
        if candidate:
            parts.append(candidate)
        pieces = pieces[count:]
    return parts


def find_runs(specs: Sequence[str]) -> list[Path]:
    """Run folders that are named, matched by a glob, or lie below a folder that is; each once, in this order.

    Raises:
        UserError: nothing is there, or what is named is no finished run.
    """
    found: dict[Path, Path] = {}
    for spec in specs:
        paths = _paths(spec)
        if not paths:
            raise UserError(f"runs={spec}: there is no such folder; give run folders, folders with runs, or a glob")
        runs = [run for path in paths for run in _runs_below(path)]
        if not runs:
            raise UserError(
                f"runs={spec}: no finished run in it (a run folder has metrics.json and config.yaml; they are written "
                "when training is over, and an interrupted run goes on with resume=true)"
            )
        for run in runs:
            found.setdefault(run.resolve(), run)
    return list(found.values())


def run_names(runs: Sequence[Path]) -> list[str]:
    """Short distinct names: the folders' paths without what all have in common."""
    resolved = [run.resolve() for run in runs]
    if len(resolved) == 1:
        return [resolved[0].name]
    common = Path(os.path.commonpath([run.parent for run in resolved]))
    return [run.relative_to(common).as_posix() for run in resolved]


def _paths(spec: str) -> list[Path]:
    path = Path(spec).expanduser()
    if path.exists():
        return [path]
    return [Path(match) for match in sorted(glob.glob(str(path)))]


def _runs_below(folder: Path) -> list[Path]:
    if (folder / "config.yaml").is_file():
        if (folder / "metrics.json").is_file():
            return [folder]
        logger.warning("%s is left out: it is not finished (no metrics.json)", folder)
        return []
    if not folder.is_dir():
        return []
    children = sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))
    return [run for child in children for run in _runs_below(child)]
