"""What `python -m talksplat.compare` may be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from omegaconf import MISSING


@dataclass
class CompareConfig:
    """Settings of the comparison."""

    runs: Any = MISSING  # run folders, folders that hold some, or globs: a list, or text with commas
    out: str = MISSING
    overwrite: bool = False
    video: bool = True
    worst_frames: int = 3
    reference: str | None = None  # group or run that the others are compared with
    foreign: str | None = None  # NAME:PATH of rendered videos of other projects, with commas
    published: str | None = None  # published tables to set beside the runs, with commas; auto: those with rows for them
