"""Configurations that came in a file (checkpoint, run folder, sweep): what may be built from them, and reading them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hydra._internal.utils import _locate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from talksplat.config.moved import follow_moves, present_name
from talksplat.errors import UserError

CONF_DIR = Path(__file__).resolve().parents[3] / "conf"
# Packages whose classes may all be built; of others, what `conf/` names.
ROOMS = tuple(
    f"talksplat.{room}" for room in ("models", "rasterizer", "losses", "metrics", "audio", "training.density")
)
SAMPLE = "talksplat.data.sample.make_sample"  # writes a folder, so only where it makes the subject
INTERPOLATION = re.compile(r"(?<!\\)(\\\\)*\$\{")  # an odd number of backslashes before it makes it a text
TARGET = re.compile(r"(^|\.)_target_([.\[]|$)")  # in a setting's path; its value is a name, and nothing else
NAMED = re.compile(r"^[^#\n]*\b_target_:\s*(\w+(?:\.\w+)+)", re.MULTILINE)


def parse_config(text: Any, source: str | Path) -> DictConfig:
    """A configuration from a file's text, with today's class names.

    Raises:
        UserError: no YAML of settings, or one with `${...}`.
    """
    try:
        content = OmegaConf.to_container(OmegaConf.create(text), resolve=False)
    except (yaml.YAMLError, OmegaConfBaseException, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{source}: its configuration is damaged ({type(error).__name__})") from error
    if not isinstance(content, dict) or not content:
        raise UserError(f"{source}: its configuration is damaged (it has no settings)")
    check_resolved(content, source)
    return OmegaConf.create(follow_moves(content))


def check_resolved(content: Any, source: str | Path) -> None:
    """Refuse `${...}`: what a run writes is resolved, and another's could read the environment of this machine. Raises
    UserError."""
    for path, value in _leaves(content):
        if isinstance(value, str) and INTERPOLATION.search(value):
            raise UserError(f"{source}: {path} in its configuration is {value}; what a run writes has no ${{...}}")


def read_config(path: Path) -> DictConfig:
    """As `parse_config`, of a file."""
    try:
        return parse_config(path.read_text(), path)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path} ({error})") from error


def check_classes(config: Any, source: str | Path, trust: Sequence[str] = ()) -> None:
    """Check that a configuration names only this package's classes to be built, or trusted ones, before any is built.

    Args:
        config: DictConfig, dictionary or list; each `_target_` in it counts, at any depth.
        trust: packages, modules or classes that the user trusts (the setting `trust`).

    Raises:
        UserError: names the first other class, where it stands and the setting.
    """
    if OmegaConf.is_config(config):
        config = OmegaConf.to_container(config, resolve=False)
    for path, name in _leaves(config):
        if TARGET.search(path) and not _may_be_built(name, path, trust):
            package = str(name).partition(".")[0]
            raise UserError(
                f"{source} wants {name} to run ({path}), which is no class of this version of TalkSplat: nothing was built from "
                "it. If it is yours, or you trust whoever sent it, repeat the command with "
                f"trust=[{name if package == 'talksplat' else package}]"
            )


def trusted_by(config: DictConfig) -> list[str]:
    """What a command trusts: its setting `trust`, and the very classes that its own configuration names."""
    leaves = _leaves(OmegaConf.to_container(config, resolve=False))
    return [*(config.get("trust") or []), *(name for path, name in leaves if path.rpartition(".")[2] == "_target_")]


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):  # a class before its arguments, of which a message names the first
        for key, item in sorted(value.items(), key=lambda item: item[0] != "_target_"):
            yield from _leaves(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{path}[{index}]")
    else:
        yield path, value


def _may_be_built(name: Any, path: str, trust: Sequence[str]) -> bool:
    if not isinstance(name, str):
        return False
    if name == SAMPLE and path != "dataset.sample._target_":
        return False
    if name in trust or name in _named_by_conf():
        return True
    rooms = [room for room in (*ROOMS, *trust) if _within(name, room)]
    if not rooms:  # before any import: importing a module runs it
        return False
    try:
        found = _locate(name)
    except (ImportError, ValueError) as error:
        if rooms[-1] in ROOMS:
            return False
        raise UserError(f"{path}: cannot import {name} ({' '.join(str(error).split())})") from error
    # A path may lead through a module to what it imports: `talksplat.models.avatar.torch.hub.load`.
    home = f"{getattr(found, '__module__', '')}.{getattr(found, '__qualname__', '')}"
    return any(_within(home, room) and (room in trust or inspect.isclass(found)) for room in rooms)


def _within(name: str, room: str) -> bool:
    return name == room or name.startswith(f"{room}.")


@cache
def _named_by_conf() -> frozenset[str]:
    texts = (path.read_text() for path in CONF_DIR.rglob("*.yaml"))
    return frozenset(present_name(name) for text in texts for name in NAMED.findall(text))
