"""Lip priors that are part of the project."""

from __future__ import annotations

from pathlib import Path

from talksplat.errors import UserError

FOLDER = Path(__file__).parent / "priors"
SUFFIX = ".npz"


def find_prior(name: str) -> Path:
    """The file `name`, or the prior of that name in the project.

    Raises:
        UserError: there is neither.
    """
    for path in (Path(name).expanduser(), FOLDER / f"{name}{SUFFIX}"):
        if path.is_file():
            return path
    known = ", ".join(sorted(path.stem for path in FOLDER.glob(f"*{SUFFIX}"))) or "none"
    raise UserError(
        f"there is no lip prior {name}: give a file of python -m talksplat.learn_lips, or one of those that come with the "
        f"project ({known})"
    )
