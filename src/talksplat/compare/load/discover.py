"""Finds run folders."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path

from talksplat.config.overrides import split_list
from talksplat.errors import UserError, printable

METRICS, SETTINGS = "metrics.json", "config.yaml"
MEND = (
    "a run folder has metrics.json and config.yaml; they are written when training is over, and an interrupted run goes on "
    "with resume=true"
)
FOREIGN = "foreign"  # folder of a comparison with the videos of other projects that it measured


def split_runs(text: str) -> list[str]:
    """Parts of `a,b,c`. A comma inside a name that exists stays: sweeps make folders like `seed=0,model=x`."""
    bare = text.strip()
    if bare[:1] == "[" and bare[-1:] == "]" and not paths_of(text):
        text = bare[1:-1]
    return [_unquoted(part) for part in split_list(text, lambda part: bool(paths_of(_unquoted(part))))]


def _unquoted(text: str) -> str:
    return text[1:-1] if text[:1] in ("'", '"') and text[-1:] == text[:1] and not paths_of(text) else text


def find_runs(specs: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Run folders that are named, matched by a glob, or lie below a folder that is, each once, in this order; and which
    others were left out, and why.

    Videos of other projects that a comparison measured count where they are named themselves, not where they lie below.
    Raises UserError for a name that holds no run, or where no finished run is among all.
    """
    found: dict[Path, Path] = {}
    left_out: list[str] = []
    for spec in specs:
        paths = paths_of(spec)
        if not paths:
            raise UserError(f"runs={spec}: there is no such folder; give run folders, folders with runs, or a glob")
        runs = [run for path in paths for run in _runs_below(path)]
        if not runs:
            raise UserError(f"runs={spec}: no run in it ({MEND})")
        for run in runs:
            if (run / METRICS).is_file():
                found.setdefault(run.resolve(), run)
            else:
                left_out.append(f"{run}: it is not finished (no {METRICS})")
    if not found:
        raise UserError(f"runs={','.join(specs)}: no finished run in it ({MEND})")
    return list(found.values()), list(dict.fromkeys(left_out))


def run_names(runs: Sequence[Path]) -> list[str]:
    """Short distinct names: the folders' paths without what all have in common."""
    resolved = [run.resolve() for run in runs]
    common = Path(os.path.commonpath([run.parent for run in resolved]))
    return [printable(run.relative_to(common).as_posix()) for run in resolved]


def paths_of(spec: str) -> list[Path]:
    """What a path or glob names."""
    path = Path(spec).expanduser()
    return [path] if path.exists() else [Path(match) for match in sorted(glob.glob(str(path)))]


def settings_folder(run: Path) -> Path:
    """Folder with the settings of a run: itself, or RUN for RUN/subjects/NAME, which has the measurements of one of its people."""
    people, whole = run.resolve().parent, run.resolve().parent.parent
    is_person = people.name == "subjects" and not (run / SETTINGS).is_file() and (whole / SETTINGS).is_file()
    return whole if is_person else run


def _runs_below(folder: Path) -> list[Path]:
    if (settings_folder(folder) / SETTINGS).is_file():
        return [folder]
    if not folder.is_dir():
        return []
    children = sorted(child for child in folder.iterdir() if child.is_dir() and child.name[:1] != ".")
    return [run for child in children if child.name != FOREIGN for run in _runs_below(child)]
