"""Text on command lines: values that Hydra and OmegaConf take literally, and settings that can be pasted into a shell."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Quote, QuotedString

PLAIN = re.compile(r"[A-Za-z_./][\w./-]*", re.ASCII)  # neither Hydra nor a shell sees more than a text in it


def setting(key: str, value: object) -> str:
    """`key=value` as one word of a command line, for a shell and for Hydra."""
    text = str(value)
    plain = PLAIN.fullmatch(text) and text.lower() not in ("null", "true", "false", "nan", "inf")
    return shlex.quote(f"{key}={text if plain else literal(text, Quote.double)}")


def train_command() -> str:
    """`python train.py` for a shell, with the path by which this process was started."""
    script = sys.argv[0] if Path(sys.argv[0]).name == "train.py" else "train.py"
    return shlex.join(["python", script])


def literal(text: str, quote: Quote = Quote.single) -> str:
    """A text in Hydra's quotes, without interpolations."""
    return quoted(escape_interpolations(text), quote)


def quoted(text: str, quote: Quote = Quote.single) -> str:
    """A text in Hydra's quotes; `${...}` in it is an interpolation."""
    return QuotedString(text, quote).with_quotes()


def escape_interpolations(value: Any) -> Any:
    """A value of a configuration (texts, lists, dictionaries, all resolved) in which OmegaConf sees no `${...}`."""
    if isinstance(value, dict):
        return {key: escape_interpolations(item) for key, item in value.items()}
    if isinstance(value, list):
        return [escape_interpolations(item) for item in value]
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", value) if isinstance(value, str) else value


def without_escapes(text: str) -> str:
    """A text of a resolved configuration's file: the inverse of `escape_interpolations`."""
    return re.sub(r"(\\+)\$\{", lambda found: found[1][: len(found[1]) // 2] + "${", text)
