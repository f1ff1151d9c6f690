"""A finished run, as its folder describes it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from jaxtyping import Float

from talksplat import __version__
from talksplat.config.moved import follow_moves
from talksplat.errors import UserError

# Entries of `metrics.json` that a comparison needs, and their types: other versions may have others.
METRIC_KEYS = dict(split=str, subject=str, resolution=list, definitions=dict, mean=dict, reasons=dict, frames=list)
INCIDENTAL = ("run_dir", "paths", "tracker", "resume", "dry_run", "trainer", "chosen")
TELLING = ("trainer.devices", "trainer.precision")  # the size of a batch, and how numbers are rounded
# libyaml's reader is ten times as fast; 200 runs have 70,000 lines of configuration.
YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
TOP_SETTING = re.compile(r"^(?=\w)", re.MULTILINE)


@dataclass(eq=False)  # one run is no other, and comparing contents takes long
class RunResult:
    """A run folder, read."""

    path: Path
    name: str
    config: dict[str, Any]
    info: dict[str, Any]
    metrics: dict[str, Any]

    @cached_property
    def settings(self) -> dict[str, str]:
        """Settings that make a run what it is, by their full path, as JSON; the checkpoint is among them where another than the
        last one was measured."""
        flat = {key: value for key, value in flatten(self.config).items() if is_relevant(key)}
        return {key: json.dumps(value, default=str) for key, value in {**flat, **self._other_checkpoint()}.items()}

    @cached_property
    def per_frame(self) -> dict[str, Float[np.ndarray, " frame"]]:
        """Metrics of single frames, NaN where one was not measured."""
        frames = self.metrics["frames"]
        names = dict.fromkeys(name for frame in frames for name in frame)
        return {name: np.array([frame.get(name) for frame in frames], float) for name in names}

    @property
    def foreign(self) -> bool:
        """Whether this is a video of another project that was measured here."""
        return "foreign" in self.config

    @property
    def commit(self) -> str | None:
        """Commit of the code that made the run; None where it was not noted."""
        return (self.info.get("git") or {}).get("commit")

    @property
    def frame_ids(self) -> list[int]:
        """Numbers of the measured frames."""
        return [frame["frame_id"] for frame in self.metrics["frames"]]

    @property
    def model(self) -> str:
        """Class of the model; the name of a foreign method."""
        if self.foreign:
            return str(self.config["foreign"]["name"])
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
        if self.foreign:
            return "-"
        return str((self.config.get("stage") or {}).get("purpose", "unknown")).split(":")[0]

    @property
    def seed(self) -> int | None:
        """Seed of the run."""
        return self.info.get("seed", self.config.get("seed"))

    @property
    def hardware(self) -> str | None:
        """GPU, or processor count, and host: times on different ones do not compare. None for a foreign video."""
        if self.foreign:
            return None
        device = self.info.get("gpu") or f"{self.info.get('cpu_count', '?')} CPU cores"
        return f"{device} ({self.info.get('host', 'unknown host')})"

    def mean(self, name: str) -> float | None:
        """Mean of a metric; None where it was not measured."""
        return self.metrics["mean"].get(name)

    def reason(self, name: str) -> str:
        """Why a metric is None."""
        return self.metrics["reasons"].get(name) or "this run did not measure it"

    def _other_checkpoint(self) -> dict[str, str]:
        measured, stage = self.metrics.get("checkpoint"), self.config.get("stage") or {}
        if measured is None or not stage.get("order"):
            return {}
        last = stage["order"][-1]
        found = f"{measured['stage']} {measured['step']}"
        return {} if found == f"{last} {stage['stages'][last]['steps']}" else {"checkpoint measured": found}


def is_relevant(key: str) -> bool:
    """Whether a setting says what a run is, rather than where it lies, on what it ran and how it was asked for."""
    return key in TELLING or key.split(".")[0] not in INCIDENTAL


def read_run(path: Path, name: str) -> RunResult:
    """Read a run folder.

    Raises:
        UserError: a file of it is missing, cut off, damaged or of another version.
    """
    metrics = _read(path / "metrics.json", json.loads)
    for key, kind in METRIC_KEYS.items():
        if not isinstance(metrics.get(key), kind):
            found = (
                f"a {type(metrics[key]).__name__} as {key!r}, not a {kind.__name__}"
                if key in metrics
                else f"no {key!r}"
            )
            raise UserError(f"{path / 'metrics.json'} has {found}: {_versions(path)}")
    if not all(isinstance(frame, dict) and "frame_id" in frame for frame in metrics["frames"]):
        raise UserError(f"{path / 'metrics.json'} has frames without 'frame_id': {_versions(path)}")
    config = follow_moves(_read(path / "config.yaml", parse_yaml))
    info = _read(path / "run_info.json", json.loads) if (path / "run_info.json").is_file() else {}
    return RunResult(path, name, config, info, metrics)


def parse_yaml(text: str) -> Any:
    """What a YAML file holds. The runs of a sweep share most of their settings: each distinct text of a top-level setting is
    parsed once, and its value is shared."""
    try:
        parts = [_parse_part(part) for part in TOP_SETTING.split(text) if part]
        return {key: item for part in parts for key, item in part.items()} or yaml.load(text, YAML_LOADER)
    except (yaml.YAMLError, AttributeError):  # damaged, settings that refer to each other, or no settings at all
        return yaml.load(text, YAML_LOADER)


@cache
def _parse_part(text: str) -> Any:
    return yaml.load(text, YAML_LOADER)


def flatten(value: Any, path: str = "") -> dict[str, Any]:
    """Settings by their full path."""
    if not isinstance(value, dict) or not value:
        return {path: value}
    parts = (flatten(item, f"{path}.{key}" if path else str(key)) for key, item in value.items())
    return {key: item for part in parts for key, item in part.items()}


def _versions(path: Path) -> str:
    """What to do about a file that another version wrote."""
    try:
        theirs = json.loads((path / "run_info.json").read_text()).get("talksplat", "unknown")
    except (OSError, ValueError, AttributeError):
        theirs = "unknown"
    return f"another version of TalkSplat wrote it ({theirs}, this is {__version__}); measure it again (python -m talksplat.evaluate run=RUN), or leave it out"


def _read(path: Path, parse) -> dict[str, Any]:
    try:
        value = parse(path.read_text())
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror or error}): leave that run out") from error
    except (ValueError, yaml.YAMLError) as error:
        raise UserError(
            f"cannot read {path}: it is cut off or damaged ({type(error).__name__}); repeat that run, or leave it out"
        ) from error
    if not isinstance(value, dict):
        raise UserError(f"{path} does not hold what a run writes there: leave that run out")
    return value
