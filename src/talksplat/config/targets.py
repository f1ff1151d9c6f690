"""Nodes with a `_target_`: their keys are checked against the constructor before anything is built."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Iterator
from typing import Any

import hydra.utils
from hydra._internal.utils import _locate  # hydra.utils.get_object logs an error before it raises
from hydra.errors import InstantiationException
from omegaconf import DictConfig, ListConfig, OmegaConf

from talksplat.command_line import escape_interpolations
from talksplat.errors import UserError
from talksplat.system_errors import missing_library

NUMBER = re.compile(r"(int|float|bool)( \| None)?")
HYDRA_KEYS = {"_target_", "_partial_", "_convert_", "_recursive_"}


def check_targets(config: DictConfig) -> None:
    """Check that each `_target_` exists and takes exactly the keys that stand next to it. Raises UserError: names the
    full path of the key, what is accepted and the nearest spelling."""
    for path, node in nodes(config):
        if "_target_" in node:
            _check_node(path, node)


def instantiate(node: Any, **extra: Any) -> Any:
    """Build the object of a checked node; `extra` are run-time arguments that no file can hold. Raises UserError: a
    constructor refuses a value."""
    if OmegaConf.is_config(node):  # Hydra resolves it twice
        node = escape_interpolations(escape_interpolations(OmegaConf.to_container(node, resolve=True)))
    try:
        return hydra.utils.instantiate(node, **extra, _convert_="all")
    except InstantiationException as error:
        if isinstance(error.__cause__, UserError):
            raise error.__cause__ from None
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise UserError("; ".join(lines)) from error


def nodes(node: Any, path: str = "") -> Iterator[tuple[str, DictConfig]]:
    """All dictionaries of a configuration with their full paths; interpolations stay unresolved."""
    if isinstance(node, DictConfig) and not node._is_none():
        yield path, node
        for key in node:
            yield from nodes(node._get_node(key), f"{path}.{key}" if path else str(key))
    elif isinstance(node, ListConfig) and not node._is_none():
        for index in range(len(node)):
            yield from nodes(node._get_node(index), f"{path}[{index}]")


def _check_node(path: str, node: DictConfig) -> None:
    target = node["_target_"]
    try:
        parameters = inspect.signature(_locate(target)).parameters
    except (ImportError, TypeError, ValueError) as error:
        reason = str(error).replace("\n", " ")
        wrong = UserError(f"{path}._target_: cannot import {target!r} ({reason})")
        raise missing_library(error) or wrong from error
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        return
    given = [key for key in node if key not in HYDRA_KEYS]
    for key in given:
        wanted = str(parameters[key].annotation) if key in parameters else ""
        if NUMBER.fullmatch(wanted) and isinstance(node[key], (str, DictConfig, ListConfig)):
            raise UserError(f"{path}.{key} is {node[key]!r}: {target} takes {wanted} there")
        if key not in parameters:
            near = difflib.get_close_matches(str(key), parameters, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(sorted(parameters)) or 'nothing'}"
            raise UserError(f"unknown key {path}.{key}: {target} has no such setting; {hint}")
    if node.get("_partial_", False):
        return
    required = {name for name, p in parameters.items() if p.default is p.empty and p.kind is not p.VAR_POSITIONAL}
    absent = sorted(required - set(given))
    if absent:
        raise UserError(f"missing key {path}.{absent[0]}: {target} needs {', '.join(absent)}")
