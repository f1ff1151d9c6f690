"""A finished run, as its folder describes it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from jaxtyping import Float

from talksplat import __version__
from talksplat.command_line import escape_interpolations, without_escapes
from talksplat.compare.load.discover import SETTINGS, settings_folder
from talksplat.config.moved import follow_moves, without_paper_split
from talksplat.errors import UserError, printable

# Entries of `metrics.json` that a comparison needs, and their types: other versions may have others.
METRIC_KEYS = dict(split=str, subject=str, resolution=list, definitions=dict, mean=dict, reasons=dict, frames=list)
# Where a run lies, on what it ran and how it was asked for is not what it is; but the size of a batch and the rounding are.
INCIDENTAL = ("run_dir", "paths", "tracker", "resume", "dry_run", "trainer", "chosen", "trust")
TELLING = ("trainer.devices", "trainer.precision")
DATA_PATHS = ("dataset.root", "dataset.roots", "dataset.loader.root", "dataset.cache_dir", "dataset.loader.cache_dir")
MEASURING = "evaluation.metrics."  # what was measured, which each metric's definition tells
# libyaml's reader is ten times as fast; 200 runs have 70,000 lines of configuration.
_parse = partial(yaml.load, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
_parse_once = cache(_parse)
TOP_SETTING = re.compile(r"^(?=\w)", re.MULTILINE)


@dataclass(eq=False)  # one run is no other, and comparing contents takes long
class RunResult:
    """A run folder, read. What a run did not note is None.

    Attributes:
        foreign: whether this is a video of another project that was measured here; commit: of the code that made the run.
        model, model_choice: class of the model (name of a foreign method), and choice of the group `model` where it is noted.
        experiments, overrides: that the configuration was made of, in their order.
        stage: preset of the stages; its purpose begins with its name.
    """

    path: Path
    name: str
    config: dict[str, Any]
    info: dict[str, Any]
    metrics: dict[str, Any]

    def __post_init__(self) -> None:
        chosen, config = self.config.get("chosen") or {}, self.config
        self.foreign = "foreign" in config
        self.commit: str | None = (self.info.get("git") or {}).get("commit")
        self.seed: int | None = self.info.get("seed", config.get("seed"))
        self.experiments: list[str] | None = chosen.get("experiments")
        self.overrides: list[str] = chosen.get("overrides") or []
        self.model = str((config.get("model") or {}).get("_target_", "unknown")).rsplit(".", 1)[-1]
        self.stage = str((config.get("stage") or {}).get("purpose", "unknown")).split(":")[0]
        if self.foreign:
            self.model, self.stage = str(config["foreign"]["name"]), "-"
        self.model_choice: str = (chosen.get("groups") or {}).get("model") or self.model

    @cached_property
    def settings(self) -> dict[str, str]:
        """Settings that make a run what it is, by their full path, as JSON; the checkpoint is among them where another than the
        last one was measured."""
        flat = without_paper_split(flatten(self.config))
        flat = {key: value for key, value in flat.items() if is_relevant(key)}
        if self.identity:  # tells what the data are, wherever they lie
            flat = {key: value for key, value in flat.items() if key not in DATA_PATHS}
            flat["poses"] = self.identity["poses"][:7]
        measured, stage = self.metrics.get("checkpoint"), self.config.get("stage") or {}
        if measured is not None and stage.get("order"):
            last = stage["order"][-1]
            found = f"{measured['stage']} {measured['step']}"
            if found != f"{last} {stage['stages'][last]['steps']}":
                flat["checkpoint measured"] = found
        return {key: json.dumps(value, default=str) for key, value in flat.items()}

    @cached_property
    def per_frame(self) -> dict[str, Float[np.ndarray, " frame"]]:
        """Metrics of single frames, NaN where one was not measured."""
        frames = self.metrics["frames"]
        names = dict.fromkeys(name for frame in frames for name in frame)
        return {name: np.array([frame.get(name) for frame in frames], float) for name in names}

    @property
    def subject_root(self) -> Path | None:
        """Subject folder, where it was when the run was made."""
        root = (self.config.get("dataset") or {}).get("root")
        return Path(without_escapes(root)).expanduser() if isinstance(root, str) else None

    @property
    def identity(self) -> dict[str, str]:
        """Hashes of the measured frames and what was made of them; empty in older versions."""
        return self.metrics.get("identity") or {}

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
    def hardware(self) -> str | None:
        """GPU, or processor count, and host: times on different ones do not compare. None for a foreign video."""
        if self.foreign:
            return None
        device = self.info.get("gpu") or f"{self.info.get('cpu_count', '?')} CPU cores"
        return f"{device} ({self.info.get('host', 'unknown host')})"

    @property
    def origin(self) -> str:
        """Command, commit, machine and folder."""
        place = printable(str(self.path))
        if self.foreign:
            return f"{self.name}: video of another project, {self.config['foreign']['source']}; measured in {place}"
        changed = " with changes" if (self.info.get("git") or {}).get("dirty") else ""
        commit = f"commit {self.commit or 'unknown'}{changed}"
        return f"{self.name}: `{self.info.get('command', 'unknown')}`; {commit}; {self.hardware}; {place}"

    def mean(self, name: str) -> float | None:
        """Mean of a metric."""
        return self.metrics["mean"].get(name)

    def reason(self, name: str) -> str:
        """Why a metric is None."""
        return self.metrics["reasons"].get(name) or "this run did not measure it"


def is_relevant(key: str) -> bool:
    """Whether a setting makes a run what it is."""
    return key in TELLING or not (key.split(".")[0] in INCIDENTAL or key.startswith(MEASURING))


def read_run(path: Path, name: str) -> RunResult:
    """Read a run folder. Raises UserError where a file of it is missing, cut off, damaged or of another version."""
    settings = settings_folder(path)
    info = _read(settings / "run_info.json", json.loads) if (settings / "run_info.json").is_file() else {}
    metrics = _read(path / "metrics.json", json.loads)
    wrong = [
        f"a {type(metrics[key]).__name__} as {key!r}, not a {kind.__name__}" if key in metrics else f"no {key!r}"
        for key, kind in METRIC_KEYS.items()
        if not isinstance(metrics.get(key), kind)
    ]
    if not wrong and not all(isinstance(frame, dict) and "frame_id" in frame for frame in metrics["frames"]):
        wrong = ["frames without 'frame_id'"]
    notes = metrics.get("metrics", {})  # since metrics are named in configuration
    if not wrong and not (isinstance(notes, dict) and all(map(_is_note, notes.values()))):
        wrong = ["no title, digits and direction of each of 'metrics'"]
    if wrong:
        theirs = f"another version of TalkSplat wrote it ({info.get('talksplat', 'unknown')}, this is {__version__})"
        again = "measure it again (python -m talksplat.evaluate run=RUN), or leave it out"
        raise UserError(f"{path / 'metrics.json'} has {wrong[0]}: {theirs}; {again}")
    config = _read(settings / SETTINGS, _parse_config)
    if settings != path:
        config, info = _of_person(path.name, config, info)
    return RunResult(path, name, config, info, metrics)


def _of_person(person: str, config: dict[str, Any], info: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Configuration and facts of a run over several people, with the folder of one."""
    subject = ((info.get("subject") or {}).get("subjects") or {}).get(person) or {}
    dataset = config.get("dataset") or {}
    root = {"root": escape_interpolations(subject.get("root"))}
    dataset = {**dataset, **root, "loader": {**(dataset.get("loader") or {}), **root}}
    return {**config, "dataset": dataset}, {**info, "subject": subject}


def _is_note(note: Any) -> bool:
    kinds = {"title": str, "digits": int, "direction": str}
    return isinstance(note, dict) and all(isinstance(note.get(key), kind) for key, kind in kinds.items())


def parse_yaml(text: str) -> Any:
    """What a YAML file holds. The runs of a sweep share most of their settings: each distinct text of a top-level setting is
    parsed once, and its value is shared."""
    try:
        parts = [_parse_once(part) for part in TOP_SETTING.split(text) if part]
        return {key: item for part in parts for key, item in part.items()} or _parse(text)
    except (yaml.YAMLError, AttributeError):  # damaged, settings that refer to each other, or no settings at all
        return _parse(text)


def _parse_config(text: str) -> Any:
    return follow_moves(parse_yaml(text))


def flatten(value: Any, path: str = "") -> dict[str, Any]:
    """Settings by their full path."""
    if not isinstance(value, dict) or not value:
        return {path: value}
    parts = (flatten(item, f"{path}.{key}" if path else str(key)) for key, item in value.items())
    return {key: item for part in parts for key, item in part.items()}


def _read(path: Path, parse: Callable[[str], Any]) -> dict[str, Any]:
    try:
        text = path.read_text()
        value = parse(text)
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror or error}): leave that run out") from error
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        kind = type(error).__name__
        raise UserError(
            f"cannot read {path}: it is cut off or damaged ({kind}); repeat that run, or leave it out"
        ) from error
    if not isinstance(value, dict):
        raise UserError(f"{path} does not hold what a run writes there: leave that run out")
    return _printable(value) if "\\" in text else value  # as which alone they may hold control characters


def _printable(value: Any) -> Any:
    """Texts of a run reach terminals."""
    if isinstance(value, dict):
        return {_printable(key): _printable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_printable(item) for item in value]
    return printable(value) if isinstance(value, str) else value
