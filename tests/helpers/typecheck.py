"""How the tests check the package's signatures: shapes by jaxtyping, types by beartype."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from beartype import BeartypeConf, beartype

typechecker = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an int is a float, as for Python's type checkers


def checked_modules(rooms: Sequence[str]) -> list[str]:
    """Modules of packages of `talksplat` whose functions Python itself runs."""
    source = Path(__file__).parents[2] / "src"
    files = [
        path for room in rooms for path in (*source.glob(f"talksplat/{room}/**/*.py"), source / f"talksplat/{room}.py")
    ]
    files = [
        path for path in files if path.is_file() and path.parent.name != "sample"
    ]  # it draws with numbers or arrays
    python = [path for path in files if "numba" not in f"{path}{path.read_text()}"]
    # a package's own name would stand for all that is in it
    return [".".join(path.relative_to(source).with_suffix("").parts) for path in python if path.stem != "__init__"]
