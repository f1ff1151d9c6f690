"""The jobs of a sweep, so that all of them can be checked before the first one trains."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import OverrideParseException
from omegaconf import OmegaConf

from talksplat.config.compose import CONF_DIR
from talksplat.errors import UserError


def sweep_jobs(overrides: Sequence[str]) -> list[list[str]]:
    """Overrides of each job that a command line asks for, as Hydra's own sweeper takes them apart; one job without a sweep.

    Args:
        overrides: e.g. ["sweep=egstalker/components", "seed=0,1", "stage=quick"]. What they sweep replaces what the file of
            the sweep says of the same setting.

    Returns:
        none where another sweeper than Hydra's own is to choose the values as it goes.

    Raises:
        UserError: an override that cannot be read.
    """
    try:
        parsed = OverridesParser.create().parse_overrides([*_of_file(overrides), *overrides])
    except OverrideParseException as error:
        raise UserError(f"cannot read {error.override!r} on the command line: write GROUP.KEY=VALUE") from error
    choices: dict[str, list[str]] = {}
    for override in parsed:
        key = override.get_key_element()
        if key == "hydra/sweeper" or (override.is_sweep_override() and not override.is_discrete_sweep()):
            return []
        if override.is_sweep_override():
            choices[key] = [f"{key}={value}" for value in override.sweep_string_iterator()]
        else:
            choices[key] = [override.input_line]
    return [list(job) for job in itertools.product(*choices.values())]


def _of_file(overrides: Sequence[str]) -> list[str]:
    """What the file of `sweep=NAME` sweeps; a name that does not exist is found when a job is composed."""
    name = next((text.removeprefix("sweep=") for text in reversed(overrides) if text.startswith("sweep=")), None)
    path = CONF_DIR / "sweep" / f"{name}.yaml"
    if not path.is_file():
        return []
    params = OmegaConf.load(path).hydra.sweeper.params
    return [f"{key}={value}" for key, value in params.items()]
