"""Command lines as people write them, with paths and sentences unquoted, made into overrides that Hydra reads as meant."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import is_dataclass
from functools import cache
from typing import get_type_hints

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from talksplat.command_line import literal, quoted
from talksplat.config.schema import SCHEMAS
from talksplat.errors import UserError

OVERRIDE = re.compile(r"(\+{0,2}([^=+~'\"\s]+)=)(.*)", re.DOTALL)
QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)
SWEPT = re.compile(
    r"(choice|range|interval|glob|shuffle|sort|tag)\(.*\)", re.DOTALL
)  # Hydra's sweeps of several values
SENTENCES = ("text", "note", "tracker.notes")  # in which `${` is never an interpolation
# Hydra's own that are followed by a value.
OPTIONS = (
    *("--cfg", "-c", "--package", "-p", "--info", "-i", "--config-path", "-cp", "--config-name", "-cn"),
    *("--config-dir", "-cd", "--experimental-rerun"),
)
# Texts that the schema does not know as such: of nodes with a `_target_`, and of Hydra's own.
OTHERS = re.compile(
    r"(.+\.)?(assets|cache_dir|checkpoint|prior|root|runs|source)|backup\.target|segmentation\.model|"
    r"hydra\.(run|sweep)\.(dir|subdir)|tracker\.(project|entity|name|group|notes)"
)


def literal_overrides(config_name: str, arguments: Sequence[str], sweep: bool = False) -> list[str]:
    """Overrides for the arguments of a command: those that are paths, names or sentences are quoted, so that commas,
    brackets, blanks... in them are no syntax. What comes quoted, `null`, and all other settings stay as they are.

    A path that exists is taken as it is, whatever is in it. In one that does not, `~` is the home folder and `${...}` an
    interpolation. In a sweep, commas stand between values, unless they are part of a path that exists.
    """
    pairs = zip(["", *arguments], arguments)
    return [text if before in OPTIONS else _override(config_name, text, sweep) for before, text in pairs]


def split_list(text: str, whole: Callable[[str], bool]) -> list[str]:
    """Parts of `a,b,c`; those that belong together according to `whole` are not torn apart."""
    pieces, parts = text.split(","), []
    while pieces:
        for count in range(len(pieces), 0, -1):
            part = ",".join(pieces[:count])
            part = part if whole(part) else part.strip()
            if whole(part):
                break
        if part:
            parts.append(part)
        pieces = pieces[count:]
    return parts


def _override(config_name: str, argument: str, sweep: bool) -> str:
    found = OVERRIDE.fullmatch(argument)
    if argument.startswith(("-", "~")):
        return argument
    if "=" not in argument:
        raise UserError(f"{argument!r} is no setting: write KEY=VALUE")
    start, key, value = found.groups() if found else ("", "", "")
    if any("\ud800" <= letter <= "\udfff" for letter in value):  # bytes that Python could not decode
        raise UserError(
            f"{ascii(argument)} is no UTF-8 text, and torch cannot open such files: rename it, or give a link to it"
        )
    kind = _texts(config_name).get(key, str if OTHERS.fullmatch(key) else None)
    if kind is None or value in ("", "null", "???") or (sweep and SWEPT.fullmatch(value)):
        if not _is_readable(argument):
            raise UserError(f"cannot read {argument!r} on the command line: write GROUP.KEY=VALUE")
        return argument
    if kind is list:
        if sweep and _is_readable(argument):
            return argument
        bare = value[1:-1] if value[0] == "[" and value[-1] == "]" and not os.path.lexists(value) else value
        return f"{start}[{','.join(map(_quote, split_list(bare, _is_whole)))}]"
    if key in SENTENCES:
        return argument if QUOTED.fullmatch(value) else start + literal(value)
    parts = split_list(value, _is_whole) if sweep and not key.startswith("hydra.") else [value]
    return start + ",".join(map(_quote, parts))


def _is_whole(text: str) -> bool:
    """Whether a comma in it does not separate: it is quoted, or a path that exists, or several with `+` between them."""
    paths = [text] if os.path.lexists(text) else text.split("+")
    return bool(QUOTED.fullmatch(text)) or all(os.path.lexists(os.path.expanduser(path)) for path in paths)


def _quote(value: str) -> str:
    if os.path.lexists(value):  # a name that begins with ~ would be taken for a home folder later
        return literal(os.path.abspath(value) if value[0] == "~" else value)
    if QUOTED.fullmatch(value):
        return value
    home = os.path.expanduser(value)
    value = os.path.abspath(value) if value[0] == "~" and home == value else home
    before, dollar, after = value.rpartition("${")
    is_name = dollar and os.path.lexists(before + dollar + after.partition("/")[0])
    return literal(value) if is_name else quoted(value)


def _is_readable(argument: str) -> bool:
    try:
        return bool(OverridesParser.create().parse_override(argument))
    except HydraException:
        return False


@cache
def _texts(config_name: str) -> dict[str, type]:
    """`str` or `list` for each setting that is a text, or a list of texts."""
    return {**dict(_fields(SCHEMAS[config_name])), **({"subjects": list} if config_name == "learn_lips" else {})}


def _fields(schema: type, path: str = "") -> Iterator[tuple[str, type]]:
    for name, kind in get_type_hints(schema).items():
        if is_dataclass(kind):
            yield from _fields(kind, f"{path}{name}.")
        elif kind in (str, str | None):
            yield path + name, str
        elif kind in (list[str], list[str] | None):
            yield path + name, list
