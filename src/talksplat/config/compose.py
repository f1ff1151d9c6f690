"""Composes a command's configuration from `conf/` and checks it before any work."""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from talksplat.command_line import escape_interpolations
from talksplat.config.auto_audio import resolve_audio
from talksplat.config.from_files import CONF_DIR, check_classes
from talksplat.config.moved import follow_moves
from talksplat.config.overrides import literal_overrides
from talksplat.config.schema import SCHEMAS
from talksplat.config.targets import check_targets, nodes
from talksplat.config.validate import validate_preprocess, validate_train
from talksplat.errors import UserError
from talksplat.trackers.wandb_checkpoint import is_address, pin

logger = logging.getLogger(__name__)
NOT_FOR_USERS = ("object_type", "reference_type", "Config search", "provider=", "Set the environment variable")


def compose(config_name: str, overrides: list[str], trust: Sequence[str] | None = None) -> DictConfig:
    """The checked configuration of a command. Raises UserError: unknown or missing key, value of a wrong type, unknown
    choice (the known ones are listed).

    Args:
        config_name: "train", "render", "preprocess" or "compare".
        overrides: Hydra overrides such as `model=static` or `stage.fine.steps=100`.
        trust: of overrides that came in a file: packages besides our own that they may name.
    """
    config = compose_unchecked(config_name, overrides)
    if trust is not None:
        content = OmegaConf.to_container(config, resolve=False)
        check_classes({key: value for key, value in content.items() if key != "hydra"}, "the sweep", trust)
    return finish_config(config_name, config, hydra_choices(config.hydra))


def hydra_choices(hydra: DictConfig) -> dict[str, Any]:
    """Hydra's choices that made a configuration, as settings do not tell them (key `chosen`): group by group, experiments
    in their order, and the overrides as given.

    Args:
        hydra: Hydra's own node of a composed configuration, or `HydraConfig.get()`.
    """
    overrides = OmegaConf.to_container(hydra.overrides.task, resolve=False)
    groups = {
        str(group): choice
        for group, choice in hydra.runtime.choices.items()
        if not str(group).startswith("hydra") and str(group).split("@")[0] != "experiment"
    }
    # Hydra leaves a group out of its choices where several were chosen at once. A sweep's rows have a slot of their own,
    # `experiment@_global_`, which is composed after the other.
    slots: dict[bool, list[str]] = {False: [], True: []}
    for override in OverridesParser.create().parse_overrides(overrides):
        if override.key_or_group == "experiment":
            value = override.value()
            names = value if isinstance(value, list) else [value]
            slots[override.package is not None] = [str(name) for name in names if name is not None]
    return {"groups": groups, "experiments": slots[False] + slots[True], "overrides": overrides}


def compose_unchecked(config_name: str, overrides: list[str]) -> DictConfig:
    """A command's configuration as Hydra composes it, with Hydra's own node `hydra`. Raises UserError: unknown choice
    or setting, an override that cannot be read."""
    overrides = literal_overrides(config_name, overrides)
    experiments = [override for override in overrides if override.startswith("experiment=")]
    if len(experiments) > 1:
        names = ",".join(text.partition("=")[2].strip("[]") for text in experiments)
        raise UserError(f"experiment= is given twice, and the last would count alone: write 'experiment=[{names}]'")
    if GlobalHydra.instance().is_initialized():
        # A notebook or a test may have composed before; Hydra holds one global instance.
        GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(CONF_DIR), version_base="1.3", job_name=config_name):
            config = hydra_compose(config_name, overrides, return_hydra_config=True)
            places = {f"hydra.{mode}.dir": str(config.hydra[mode].dir) for mode in ("run", "sweep")}
    except (HydraException, OmegaConfBaseException) as error:
        unknown = _unknown_choice(str(error)) or _unknown_setting(str(error), config_name)
        raise UserError(unknown or _one_line(error)) from error
    for key, place in places.items():
        if "${" in place:
            raise UserError(f"{key}={place}: Hydra can write into no folder with ${{ in its path, choose another")
    return config


def _unknown_choice(message: str) -> str | None:
    """Hydra lists the files next to the one that is missing, but not those in folders below the group."""
    found = re.search(r"Could not find '([^']+)'", message)
    path = Path(found[1]) if found else Path()
    nested = bool(path.parts) and path.parts[0] in ("experiment", "sweep")
    group = Path(path.parts[0]) if nested else path.parent
    folder = CONF_DIR / group
    if path == group or not folder.is_dir():
        return None
    files = folder.glob("**/*.yaml" if nested else "*.yaml")
    known = sorted(file.relative_to(folder).as_posix().removesuffix(".yaml") for file in files)
    near = difflib.get_close_matches(path.relative_to(group).as_posix(), known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"there is no {path}: {hint}there are {', '.join(known)}"


def _unknown_setting(message: str, config_name: str) -> str | None:
    """Hydra advises to append with a plus sign, which then fails as well."""
    found = re.search(r"Could not override '([^']+)'", message)
    if found is None:
        return None
    with initialize_config_dir(str(CONF_DIR), version_base="1.3", job_name=config_name):
        default = hydra_compose(config_name, [])
    groups = [path.relative_to(CONF_DIR).as_posix() for path in CONF_DIR.rglob("*") if path.is_dir()]
    known = [*(node._get_full_key(key) for _, node in nodes(default) for key in node), *groups]
    near = difflib.get_close_matches(found[1], known, n=1, cutoff=0.7)
    if found[1] in known or not near:
        return f"there is no setting {found[1]} with these choices; `--cfg job` prints those that there are"
    return f"there is no setting {found[1]}: did you mean {near[0]!r}? `--cfg job` prints all"


def finish_config(
    config_name: str, config: DictConfig, choices: dict[str, Any], run_dir: Path | None = None
) -> DictConfig:
    """Check a composed configuration against the schema, its targets' signatures and for missing values.

    Args:
        config_name, config: as composed by Hydra.
        choices: what it was made of (`hydra_choices`); a training run records it.
        run_dir: of a training run that may be resumed.
    """
    try:
        config = _resolved(config_name, config, choices, run_dir)
    except OmegaConfBaseException as error:
        raise UserError(_one_line(error)) from error
    check_targets(config)
    if config_name == "train":
        if is_address(config.checkpoint):
            config.checkpoint = pin(config.checkpoint)
        validate_train(config)
    if config_name == "preprocess":
        validate_preprocess(config)
    return config


def _resolved(config_name: str, config: DictConfig, choices: dict[str, Any], run_dir: Path | None) -> DictConfig:
    if OmegaConf.select(config, "dataset.roots"):
        config.dataset.root = "${dataset.roots[0]}"
    raw = OmegaConf.to_container(config, resolve=False)  # without Hydra's flags
    raw.pop("hydra", None)
    if "audio" in raw:
        raw["audio"] = resolve_audio(config_name, config, choices, CONF_DIR, run_dir)
    changed: dict[str, str] = {}
    raw = follow_moves(raw, changed)
    for stage in raw.get("stage", {}).get("stages", {}).values():
        if stage and stage.get("density") == {}:  # density=none: a file of a group cannot say null
            stage["density"] = None
    for old, new in changed.items():
        logger.warning("%s is now %s: the old name works for one more version", old, new)
    if config_name == "train":
        raw["chosen"] = escape_interpolations(choices)
    config = OmegaConf.create(raw)
    missing = [n._get_full_key(key) for _, n in nodes(config) for key in n if OmegaConf.is_missing(n, key)]
    if missing:
        raise UserError(f"missing setting {', '.join(missing)}: give it as {missing[0]}=VALUE")
    schema = OmegaConf.structured(SCHEMAS[config_name])
    return OmegaConf.merge(schema, literally(OmegaConf.merge(schema, config)))


def literally(config: DictConfig) -> DictConfig:
    """The configuration, resolved, in which no text is an interpolation any more, whatever stands in it."""
    return OmegaConf.create(escape_interpolations(OmegaConf.to_container(config, resolve=True)))


def to_yaml(config: DictConfig) -> str:
    """Resolved YAML text of a configuration: what run folders and checkpoints carry."""
    return OmegaConf.to_yaml(literally(config))


def _one_line(error: Exception) -> str:
    """Hydra's and OmegaConf's messages span several lines; keep what a user needs, joined."""
    lines = [*str(error).splitlines(), *(line for line in str(error.__cause__).splitlines() if "full_key" in line)]
    lines = [" ".join(line.split()) for line in lines]
    return "; ".join(dict.fromkeys(line for line in lines if line and not line.startswith(NOT_FOR_USERS)))
