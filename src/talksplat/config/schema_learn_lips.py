"""Schema of `python -m talksplat.learn_lips`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from talksplat.config.schema import AudioConfig, PathsConfig


@dataclass
class LearnLipsConfig:
    """Settings of a lip prior's learning."""

    subjects: Any = MISSING
    out: str = MISSING
    note: str | None = None
    per_clip: bool | None = None
    first_row: int = -16
    last_row: int = 5
    audio: AudioConfig = field(default_factory=AudioConfig)
    paths: PathsConfig = field(default_factory=PathsConfig)
