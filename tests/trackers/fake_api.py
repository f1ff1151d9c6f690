"""A stand-in for wandb's API that serves files of this disk."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class FakeArtifact:
    """Gives a file; breaks off half-way if told to."""

    source: Path
    version: str
    aliases: list[str]
    type: str = "model"
    breaks: bool = False
    downloads: int = 0

    def download(self, root: str) -> str:
        self.downloads += 1
        target = Path(root) / "last.ckpt"
        if self.breaks:
            target.write_bytes(self.source.read_bytes()[:10])
            raise ConnectionError("reset by peer")
        shutil.copyfile(self.source, target)
        return root


@dataclass
class FakeRun:
    id: str
    artifacts: list[FakeArtifact]

    def logged_artifacts(self) -> list[FakeArtifact]:
        return self.artifacts


@dataclass
class FakeApi:
    """Runs by path, and by name."""

    by_path: dict[str, FakeRun]
    by_name: dict[str, list[FakeRun]] = field(default_factory=dict)

    def run(self, path: str) -> FakeRun:
        from wandb.apis.public import RunNotFoundError

        if path not in self.by_path:
            raise RunNotFoundError(f"Could not find run {path}")
        return self.by_path[path]

    def runs(self, path: str, filters: dict[str, str]) -> list[FakeRun]:
        assert path == "lab/heads"
        return self.by_name.get(filters["display_name"], [])
