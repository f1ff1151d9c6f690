"""What one finished run says about itself."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import yaml

from talksplat import __version__
from talksplat.config.moved import follow_moves
from talksplat.errors import UserError

# What a comparison reads of `metrics.json`, and its kind: a run of another version may lack or mean something else by it.
METRIC_KEYS = {
    "split": str,
    "subject": str,
    "resolution": list,
    "definitions": dict,
    "mean": dict,
    "reasons": dict,
    "frames": list,
}
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
    def settings(self) -> dict[str, Any]:
        """All settings by their full path."""
        return flatten(self.config)

    @property
    def foreign(self) -> bool:
        """Whether this is a video of another project that was measured here."""
        return "foreign" in self.config

    @property
    def commit(self) -> str | None:
        """Commit of the code that made the run; None where it was not noted."""
        return (self.info.get("git") or {}).get("commit")

    @property
    def split(self) -> str:
        """Split that was measured. Versions that knew two called the papers' held-out frames "val", and not test."""
        split, older = self.metrics["split"], "chosen_on" not in self.metrics
        return "test" if older and split == "val" else split

    @property
    def chosen_on(self) -> str | None:
        """Split that previews, best.ckpt and searches looked at; older versions had none for it but the test frames. None
        for a foreign video."""
        return None if self.foreign else self.metrics.get("chosen_on", "test")

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
        UserError: a file of it is missing, cut off, damaged or of another version.
    """
    metrics = _read(path / "metrics.json", json.loads)
    for key, kind in METRIC_KEYS.items():
        if key not in metrics:
            raise UserError(f"{path / 'metrics.json'} has no {key!r}: {_versions(path)}")
        if not isinstance(metrics[key], kind):
            found = type(metrics[key]).__name__
            raise UserError(
                f"{path / 'metrics.json'} has a {found} as {key!r}, not a {kind.__name__}: {_versions(path)}"
            )
    notes = metrics.get("metrics", {})  # since metrics are named in configuration
    if not isinstance(notes, dict) or not all(_is_note(note) for note in notes.values()):
        raise UserError(
            f"{path / 'metrics.json'} has no title, digits and direction of each of 'metrics': {_versions(path)}"
        )
    if not all(isinstance(frame, dict) and "frame_id" in frame for frame in metrics["frames"]):
        raise UserError(f"{path / 'metrics.json'} has frames without 'frame_id': {_versions(path)}")
    config = follow_moves(_read(path / "config.yaml", parse_yaml))
    info = _read(path / "run_info.json", json.loads) if (path / "run_info.json").is_file() else {}
    return RunResult(path, name, config, info, metrics)


def _is_note(note: Any) -> bool:
    kinds = {"title": str, "digits": int, "direction": str}
    return isinstance(note, dict) and all(isinstance(note.get(key), kind) for key, kind in kinds.items())


def parse_yaml(text: str) -> Any:
    """What a YAML file holds. The runs of a sweep share most of their settings: each distinct text of a setting at the top is
    read once, and its value is shared."""
    try:
        values = [_parse_part(part) for part in TOP_SETTING.split(text) if part]
    except yaml.YAMLError:
        values = []  # it is damaged, or its settings refer to each other
    if not values or not all(isinstance(value, dict) for value in values):
        return yaml.load(text, YAML_LOADER)
    return {key: item for value in values for key, item in value.items()}


@cache
def _parse_part(text: str) -> Any:
    return yaml.load(text, YAML_LOADER)


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
