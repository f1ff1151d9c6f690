"""Compares runs: `python -m talksplat.compare runs=outputs/a,outputs/b out=outputs/compare`.

`runs` takes run folders, folders that hold run folders, and globs, with commas between them. `published=auto` sets the tables of papers beside them that have rows for them. `reference=` names the group that the others
are compared with. `foreign=Wav2Lip:video.mp4,SadTalker:frames` measures rendered videos of other projects.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from talksplat.compare.report import compare_runs
from talksplat.compare.sections import Section
from talksplat.compare.table import ComparisonTable
from talksplat.config import CONF_DIR, compose
from talksplat.errors import UserError, exits_cleanly

TEXTS = ("runs", "out", "published", "reference", "foreign")
MAX_ROWS = 24


def compare(config: DictConfig) -> None:
    """Compare as configured and print the tables."""
    if not config.runs or not (isinstance(config.runs, str) or OmegaConf.is_list(config.runs)):
        raise UserError(f"runs={config.runs}: give run folders, e.g. runs=outputs/a,outputs/b")
    published = [name.strip() for name in (config.published or "").split(",") if name.strip()]
    out = Path(config.out).expanduser()
    done = compare_runs(
        config.runs,
        out,
        config.overwrite,
        config.video,
        published,
        config.reference,
        config.foreign,
        config.worst_frames,
    )
    console = Console(highlight=False)
    for section in done.tables:
        print_section(console, section)
    console.print(f"written to {config.out}", soft_wrap=True)


def print_section(console: Console, section: Section) -> None:
    """A section for a terminal: what stands above a table, the table, and lists; a table of many rows is left to the files."""
    console.print(f"\n{section.title}", markup=False, soft_wrap=True)
    explained = False
    for part in section.parts:
        if isinstance(part, ComparisonTable):
            explained = True  # what is said about a table's making is in the file
            long = len(part.rows) > MAX_ROWS
            console.print(f"{len(part.rows)} rows: see the files" if long else part.rich())
        elif isinstance(part, list):
            console.print("\n".join(f"- {line}" for line in part), markup=False, soft_wrap=True)
        elif not explained:
            console.print(part, markup=False, soft_wrap=True)


def overrides_of(arguments: list[str]) -> list[str]:
    """Hydra's overrides for a command line: paths and names are quoted, so that commas, `=` and spaces in them are no syntax."""
    overrides = []
    for argument in arguments:
        key, separator, value = argument.partition("=")
        if not separator:
            raise UserError(f"{argument!r} is no setting: write runs=FOLDER,FOLDER out=FOLDER")
        if key in TEXTS and value[:1] not in ("'", '"'):
            value = "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
        overrides.append(f"{key}={value}")
    return overrides


@exits_cleanly
def main() -> None:
    """The command."""
    arguments = sys.argv[1:]
    if {"-h", "--help"} & set(arguments):
        Console(highlight=False, markup=False).print(f"{__doc__}\n{(CONF_DIR / 'compare.yaml').read_text()}")
        return
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    compare(compose("compare", overrides_of(arguments)))


if __name__ == "__main__":
    main()
