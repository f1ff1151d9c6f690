"""Jobs of a command line."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from talksplat.config import CONF_DIR
from talksplat.errors import UserError
from talksplat.trackers.naming import variant


def config_loader() -> ConfigLoaderImpl:
    """Hydra's loader of `conf/`."""
    return ConfigLoaderImpl(create_config_search_path(str(CONF_DIR)))


def parse_overrides(texts: Sequence[str]) -> list[Override]:
    """Overrides as Hydra understands them. Raises UserError: one that cannot be read."""
    parser = OverridesParser.create(config_loader())  # knows the files of a group, for glob(*)
    parsed = []
    for text in texts:
        try:
            parsed += parser.parse_overrides([text])
        except HydraException as error:
            raise UserError(f"cannot read {text!r} on the command line: write GROUP.KEY=VALUE") from error
    return parsed


def merged_overrides(settings: Sequence[str], params: Mapping[str, Any] | None) -> dict[str, Override]:
    """What the file of a sweep sweeps (`params`) and the command line's settings by their keys; the latter count more."""
    of_file = [f"{key}={value}" for key, value in (params or {}).items()]
    return {override.get_key_element(): override for override in parse_overrides([*of_file, *settings])}


def grid_jobs(settings: Sequence[str], params: Mapping[str, Any] | None = None) -> list[list[str]]:
    """Overrides of each job: all combinations of the values given, the first setting varying slowest. Raises UserError:
    a range without single values, or more than one sweep by its name.

    Args:
        settings: e.g. ["sweep=egstalker/components", "seed=0,1", "stage=quick"].
        params: what the file of the sweep sweeps.
    """
    choices: list[list[str]] = []
    for key, override in merged_overrides(settings, params).items():
        if key.lstrip("+") == "sweep" and (override.is_sweep_override() or isinstance(override.value(), list)):
            raise UserError("one sweep at a time: write sweep=NAME, and start the other sweeps one after the other")
        if not override.is_sweep_override():
            choices.append([override.input_line])
        elif override.is_discrete_sweep():
            choices.append([f"{key}={value}" for value in override.sweep_string_iterator()])
        else:
            raise UserError(
                f"{override.input_line} has no single values to combine: search it with hydra/sweeper=optuna"
            )
    return [list(job) for job in itertools.product(*choices)]


def equal_jobs(configs: Sequence[DictConfig]) -> list[list[int]]:
    """Numbers of jobs that differ in Hydra's choices alone, e.g. a row that the paper's settings have anyway."""
    alike: dict[str, list[int]] = {}
    for number, config in enumerate(configs):
        settings = {key: value for key, value in OmegaConf.to_container(config).items() if key != "chosen"}
        alike.setdefault(json.dumps(settings, sort_keys=True, default=str), []).append(number)
    return [numbers for numbers in alike.values() if len(numbers) > 1]


def job_name(number: int, config: DictConfig) -> str:
    """Folder of a job, e.g. `03_no_ppe_seed1`, `00_paper+no_eye_seed0`, `01_static_seed2`.

    The number tells jobs apart that differ in other settings, which stand in their config.yaml: folders named by all
    settings grow too long for a file system.
    """
    return f"{number:02d}_{variant(config)}_seed{config.seed}"
