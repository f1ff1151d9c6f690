"""The jobs of a sweep, so that all of them can be checked before the first one trains."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, ValueType
from hydra.errors import OverrideParseException
from omegaconf import DictConfig, OmegaConf

from talksplat.config.compose import CONF_DIR
from talksplat.errors import UserError


def sweep_jobs(overrides: Sequence[str]) -> list[list[str]]:
    """Overrides of each job that a command line asks for, as Hydra's own sweeper takes them apart; one job without a sweep.

    Args:
        overrides: e.g. ["sweep=egstalker/components", "seed=0,1", "stage=quick"]. What they sweep replaces what the file of
            the sweep says of the same setting.

    Returns:
        none where another sweeper than Hydra's own is to choose the values as it goes, or they are all files of a group.

    Raises:
        UserError: an override that cannot be read, or not one sweep by its name.
    """
    parser = OverridesParser.create()
    try:
        given = parser.parse_overrides(list(overrides))
    except OverrideParseException as error:
        raise UserError(f"cannot read {error.override!r} on the command line: write GROUP.KEY=VALUE") from error
    parsed = [*parser.parse_overrides(_of_file(given)), *given]
    choices: dict[str, list[str]] = {}
    for override in parsed:
        key = override.get_key_element()
        if key == "hydra/sweeper" or (override.is_sweep_override() and not override.is_discrete_sweep()):
            return []
        if override.value_type is ValueType.GLOB_CHOICE_SWEEP:
            return []
        if override.is_sweep_override():
            choices[key] = [f"{key}={value}" for value in override.sweep_string_iterator()]
        else:
            choices[key] = [override.input_line]
    return [list(job) for job in itertools.product(*choices.values())]


def equal_jobs(configs: Sequence[DictConfig]) -> list[list[int]]:
    """Numbers of jobs that are the same but for how they were asked for, e.g. a row that the paper's settings have anyway."""
    alike: dict[str, list[int]] = {}
    for number, config in enumerate(configs):
        settings = {key: value for key, value in OmegaConf.to_container(config).items() if key != "chosen"}
        alike.setdefault(json.dumps(settings, sort_keys=True, default=str), []).append(number)
    return [numbers for numbers in alike.values() if len(numbers) > 1]


def _of_file(given: Sequence[Override]) -> list[str]:
    """What the file of `sweep=NAME` sweeps; a name that does not exist is found when a job is composed."""
    names = [override for override in given if override.key_or_group == "sweep"]
    if len(names) > 1 or any(override.is_sweep_override() or isinstance(override.value(), list) for override in names):
        raise UserError("one sweep at a time: write sweep=NAME, and start the other sweeps one after the other")
    name = names[0].value() if names else None
    path = CONF_DIR / "sweep" / f"{name}.yaml"
    if not path.is_file():
        return []
    params = OmegaConf.load(path).hydra.sweeper.params
    return [f"{key}={value}" for key, value in params.items()]
