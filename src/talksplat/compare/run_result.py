"""What one finished run says about itself."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from talksplat.errors import UserError

METRIC_KEYS = ("split", "subject", "resolution", "definitions", "mean", "reasons", "frames")


@dataclass
class RunResult:
    """A run folder, read."""

    path: Path
    name: str
    config: dict[str, Any]
    info: dict[str, Any]
    metrics: dict[str, Any]

    @property
    def frame_ids(self) -> list[int]:
        """Numbers of the measured frames."""
        return [frame["frame_id"] for frame in self.metrics["frames"]]

    @property
    def model(self) -> str:
        """Class of the model."""
        return str((self.config.get("model") or {}).get("_target_", "unknown")).rsplit(".", 1)[-1]

    @property
    def chosen(self) -> dict[str, Any]:
        """What the configuration was made of; empty for runs of versions that did not note it."""
        return self.config.get("chosen") or {}

    @property
    def model_choice(self) -> str:
        """Choice of the group `model`, e.g. gaussiantalker; the class where the run did not note it."""
        return (self.chosen.get("groups") or {}).get("model") or self.model

    @property
    def experiments(self) -> list[str] | None:
        """Experiments in their order; None where the run did not note them."""
        return self.chosen.get("experiments")

    @property
    def stage(self) -> str:
        """Preset of the stages; its purpose begins with its name."""
        return str((self.config.get("stage") or {}).get("purpose", "unknown")).split(":")[0]

    @property
    def seed(self) -> int | None:
        """Seed of the run."""
        return self.info.get("seed", self.config.get("seed"))

    @property
    def hardware(self) -> str:
        """GPU, or processor count, and host: times on different ones do not compare."""
        device = self.info.get("gpu") or f"{self.info.get('cpu_count', '?')} CPU cores"
        return f"{device} ({self.info.get('host', 'unknown host')})"

    @property
    def training_seconds(self) -> float | None:
        """Time of all stages together; None where the run did not note it."""
        timings = self.info.get("timings") or {}
        return float(sum(timings.values())) if timings else None

    @property
    def parameters(self) -> int | None:
        """Numbers that are rendered with: networks and Gaussians; None where the run did not note them."""
        counts = self.metrics.get("parameters")
        return sum(counts.values()) if counts else None

    @property
    def megabytes(self) -> float | None:
        """Size of the weights that rendering needs, in 1e6 bytes; None where the run did not note it."""
        size = self.metrics.get("size_bytes")
        return None if size is None else size / 1e6

    def mean(self, name: str) -> float | None:
        """Mean of a metric; None where it was not measured."""
        return self.metrics["mean"].get(name)

    def reason(self, name: str) -> str:
        """Why a metric is None."""
        return self.metrics["reasons"].get(name) or "this run did not measure it"


def read_run(path: Path, name: str) -> RunResult:
    """Read a run folder.

    Raises:
        UserError: a file of it is missing or damaged.
    """
    metrics = _read(path / "metrics.json", json.loads)
    absent = [key for key in METRIC_KEYS if key not in metrics]
    if absent:
        raise UserError(f"{path / 'metrics.json'} has no {absent[0]!r}: measure that run again, or leave it out")
    config = _read(path / "config.yaml", yaml.safe_load)
    info = _read(path / "run_info.json", json.loads) if (path / "run_info.json").is_file() else {}
    return RunResult(path, name, config, info, metrics)


def flatten(config: dict[str, Any]) -> dict[str, Any]:
    """Settings by their full path."""
    flat: dict[str, Any] = {}

    def visit(value: Any, path: str) -> None:
        if isinstance(value, dict) and value:
            for key, item in value.items():
                visit(item, f"{path}.{key}" if path else str(key))
        else:
            flat[path] = value

    visit(config, "")
    return flat


def _read(path: Path, parse) -> dict[str, Any]:
    try:
        value = parse(path.read_text())
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"cannot read {path} ({type(error).__name__}): leave that run out") from error
    if not isinstance(value, dict):
        raise UserError(f"{path} does not hold what a run writes there: leave that run out")
    return value
