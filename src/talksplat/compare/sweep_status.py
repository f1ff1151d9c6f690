"""Jobs of a sweep that did not finish, as its `status.csv` tells."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

FILE = "status.csv"
DONE = "done"


def unfinished_jobs(folders: Iterable[Path]) -> list[str]:
    """A line for each job that is not done, of the sweeps that lie in or right above these folders; each sweep once."""
    files = dict.fromkeys(
        path
        for folder in folders
        for path in (folder.resolve() / FILE, folder.resolve().parent / FILE)
        if path.is_file()
    )
    return [line for path in files for line in _jobs_of(path)]


def _jobs_of(path: Path) -> list[str]:
    try:
        with path.open(newline="") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
            named = {"job", "state"} <= set(reader.fieldnames or ())
    except (OSError, ValueError, csv.Error) as error:
        return [f"{path} cannot be read ({error}): whether jobs of this sweep failed is not known"]
    if not named:
        return [f"{path} has no columns job and state: whether jobs of this sweep failed is not known"]
    lines = []
    for row in rows:
        if row["state"] != DONE:
            error = " ".join((row.get("error") or "").split())
            lines.append(f"job {row['job']} of {path.parent.name}: {row['state']}" + (f" ({error})" if error else ""))
    return lines
