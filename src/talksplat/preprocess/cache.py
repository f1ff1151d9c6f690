"""Steps whose results are kept: a step runs again only if its inputs, settings or version changed."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from talksplat.errors import UserError
from talksplat.files import write_bytes

logger = logging.getLogger(__name__)

RECORD = "step.json"


@dataclass(frozen=True)
class StepResult:
    """Where a finished step lies, what identifies it and what it said."""

    name: str
    folder: Path
    key: str
    seconds: float  # of the run that made it
    cached: bool
    summary: dict[str, Any]  # JSON values


class StepCache:
    """Results of steps in one folder each.

    A step works in a partial folder that carries its key. If the process is killed, the next run finds that folder again
    and the step may skip what already lies in it; files must therefore be written with `files.write_bytes`. A finished folder
    takes the step's name in one move.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot make the work folder {self.root} ({error.strerror or error})") from error

    def run(
        self, name: str, version: int, inputs: Mapping[str, Any], compute: Callable[[Path], dict[str, Any] | None]
    ) -> StepResult:
        """The step's result: the kept one, or that of `compute(folder)`, which fills a folder and returns a summary.

        Args:
            name: folder name.
            version: raised whenever the code gives other results.
            inputs: JSON values that determine the result: hashes, keys of earlier steps, settings.
        """
        text = json.dumps({"name": name, "version": version, "inputs": inputs}, sort_keys=True)
        key = hashlib.sha256(text.encode()).hexdigest()
        folder = self.root / name
        kept = self._read(folder)
        if kept is not None and kept["key"] == key:
            logger.info("%s: kept from an earlier run", name)
            return StepResult(name, folder, key, kept["seconds"], True, kept["summary"])
        partial = self.root / f".{name}-{key[:16]}.partial"
        for other in self.root.glob(f".{name}-*.partial"):
            if other != partial:
                shutil.rmtree(other, ignore_errors=True)
        partial.mkdir(exist_ok=True)
        start = time.perf_counter()
        summary = compute(partial) or {}
        seconds = round(time.perf_counter() - start, 2)
        record = {
            "name": name,
            "key": key,
            "version": version,
            "inputs": inputs,
            "seconds": seconds,
            "summary": summary,
        }
        write_bytes(partial / RECORD, json.dumps(record, indent=1).encode())
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(partial, folder)
        logger.info("%s: done in %.1f s", name, seconds)
        return StepResult(name, folder, key, seconds, False, summary)

    def _read(self, folder: Path) -> dict[str, Any] | None:
        try:
            record = json.loads((folder / RECORD).read_text())
            return record if {"key", "seconds", "summary"} <= record.keys() else None
        except (OSError, ValueError):
            return None
