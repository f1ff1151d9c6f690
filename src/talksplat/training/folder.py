"""Run folder: refuses to overwrite, records which stages are finished."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from talksplat.config import to_yaml
from talksplat.config.from_files import read_config
from talksplat.config.moved import without_paper_split
from talksplat.errors import UserError
from talksplat.files import content_hash, write_json, write_text

# Settings that may differ between a run and its resumption, since they do not change the result.
FREE_KEYS = ("resume", "dry_run", "run_dir", "tracker", "backup", "paths", "chosen", "trust")
OFF = ("null", "false", "0.0", "[]")  # values by which a setting changes nothing
# Where data lie; `check_data` looks at what they are.
DATA_PATHS = tuple(
    f"dataset.{key}"
    for key in ("root", "roots", "loader.root", "cache", "cache_dir", "loader.cache", "loader.cache_dir")
)
DATA_FACTS = ("identity", "num_frames", "num_train", "first_frame", "last_frame", "width", "height", "audio_shape")
FREE_TRAINER_KEYS = ("threads", "checkpoint_every", "log_every", "preview_every")


class RunFolder:
    """`RUN/{config.yaml, run_info.json, metrics.json, last.ckpt, stages/}`.

    Args:
        path: the run folder.
        config: configuration of this run.
        opened: whether another process of this run has checked and opened the folder.

    Raises:
        UserError: the folder holds a run and `resume` is off, or it holds a run of another configuration.
    """

    def __init__(self, path: Path, config: DictConfig, opened: bool = False) -> None:
        self.path = path
        self.config = config
        if not opened:
            self._check()

    def _check(self) -> None:
        path, config = self.path, self.config
        saved = path / "config.yaml"
        if saved.exists():
            if not config.resume:
                raise UserError(f"{path} already holds a run: give resume=true to resume it, or another hydra.run.dir")
            if (path / "metrics.json").exists():
                raise UserError(f"the run in {path} is finished (metrics.json is there); nothing is overwritten")
            self._compare(read_config(saved))
        elif config.resume:
            raise UserError(f"resume=true, but {path} holds no run; give hydra.run.dir=RUN of the run to resume")

    def _compare(self, saved: DictConfig) -> None:
        ours, theirs = (without_paper_split(_as_today(_flatten(config))) for config in (self.config, saved))
        theirs.setdefault("audio.lip_prior", ours.get("audio.lip_prior", "null"))  # shows in the model's lip token
        # No lip token: null in older configurations, a token without a prior in newer ones.
        if theirs.get("model.tokens.lips") == ours.get("model.tokens.lips.prior") == "null":
            ours = {key: value for key, value in ours.items() if not key.startswith("model.tokens.lips.")}
            ours["model.tokens.lips"] = "null"
        for key in sorted(ours.keys() | theirs.keys()):
            group, _, rest = key.partition(".")
            if group in FREE_KEYS or (group == "trainer" and rest in FREE_TRAINER_KEYS):
                continue
            if key.startswith("evaluation.metrics."):
                continue  # affects the measurement only
            if key not in theirs and ours[key] in OFF:
                continue  # a setting that older versions lack
            if key in DATA_PATHS or self._names_same_file(key, ours.get(key), theirs.get(key)):
                continue
            if ours.get(key, "absent") != theirs.get(key, "absent"):
                raise UserError(
                    f"cannot resume {self.path}: {key} was {theirs.get(key, 'absent')} and is now "
                    f"{ours.get(key, 'absent')}; repeat the command of that run (it is in run_info.json)"
                )

    def _names_same_file(self, key: str, ours: str | None, theirs: str | None) -> bool:
        """Whether both values are paths of one file or folder, or that of `ours` holds what the run began with."""
        if ours is None or theirs is None or not (path := _path_of(ours)):
            return False
        before = _path_of(theirs)
        if before is not None and before.resolve() == path.resolve():
            return True
        return path.is_file() and self._info().get("files", {}).get(key) == content_hash(path)

    def _info(self) -> dict[str, Any]:
        path = self.path / "run_info.json"
        return json.loads(path.read_text()) if path.is_file() else {}

    def check_data(self, data: dict[str, Any]) -> list[str]:
        """Whether data that are described so are those that the run began with, whatever their folders are called.

        Returns:
            names of the people in the run, by which its checkpoints know them; none of a single one, or a new run.

        Raises:
            UserError: they are others.
        """
        known = self._info().get("subject", {}) if self.config.resume else {}
        people = known.get("subjects", {"": known})
        for before, now in zip(people.values(), data.get("subjects", {"": data}).values()):
            differing = [key for key in DATA_FACTS if key in before and before[key] != now[key]]
            if differing:
                parts = [key for key, value in before.get("identity", {}).items() if now["identity"][key] != value]
                raise UserError(
                    f"cannot resume {self.path}: the data in {now['root']} are not those that it began with ({before['root']}): "
                    f"{', '.join([*parts, *(key for key in differing if key != 'identity')])} differ; give dataset.root of those, or begin another run"
                )
        return [name for name in people if name]

    def open(self) -> None:
        """Write the resolved configuration."""
        self.path.mkdir(parents=True, exist_ok=True)
        if not (self.path / "config.yaml").exists():
            write_text(self.path / "config.yaml", to_yaml(self.config))

    def stage_dir(self, index: int, name: str) -> Path:
        """Folder of a stage."""
        return self.path / "stages" / f"{index + 1:02d}_{name}"

    @staticmethod
    def is_finished(stage_dir: Path) -> bool:
        """Whether a stage has run to its end."""
        return (stage_dir / "finished.json").exists()

    @staticmethod
    def seconds_of(stage_dir: Path) -> float:
        """Duration of a finished stage."""
        return float(json.loads((stage_dir / "finished.json").read_text())["seconds"])

    @staticmethod
    def finish_stage(stage_dir: Path, facts: dict[str, Any]) -> None:
        """Mark a stage as finished."""
        write_json(stage_dir / "finished.json", facts)


def files_of(config: DictConfig) -> dict[str, str]:
    """Hash of each file that a setting names, by which a resumed run knows it again."""
    paths = {key: _path_of(value) for key, value in _flatten(config).items()}
    return {key: content_hash(path) for key, path in paths.items() if path is not None and path.is_file()}


def _path_of(value: str) -> Path | None:
    """The file or folder that a setting's JSON value names; of a run folder, the checkpoint that counts. None: no such."""
    text = json.loads(value)
    try:
        path = Path(text).expanduser() if isinstance(text, str) and text else None
        if path is None or not path.exists():
            return None
    except (OSError, RuntimeError):  # too long for a path, no such home
        return None
    return path / "last.ckpt" if (path / "last.ckpt").is_file() else path


def _flatten(config: DictConfig) -> dict[str, str]:
    flat: dict[str, str] = {}

    def visit(value: Any, path: str) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                visit(item, f"{path}.{key}" if path else str(key))
        else:
            flat[path] = json.dumps(value)

    visit(OmegaConf.to_container(config, resolve=True), "")
    return flat


def _as_today(flat: dict[str, str]) -> dict[str, str]:
    """Flat settings with the defaults that were implicit in older versions; kept for one version."""
    today = dict(flat)
    for key, value in flat.items():
        node, _, name = key.rpartition(".")
        if name == "horizon":
            today.setdefault(f"{node}.schedule._target_", '"talksplat.training.schedule.LogLinear"')
        if name == "min_keep":
            today.setdefault(f"{node}.opacity_reset_value", "0.01")  # of resets that are off
        if name == "size_prune_start" and value.isdigit() and int(value) >= int(flat[f"{node}.stop"]):
            today |= {key: "null", f"{node}.max_scale": "null"}  # had no effect, and is now off
    return today
