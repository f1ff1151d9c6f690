"""Schema of `python -m talksplat.preprocess`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from talksplat.config.schema import AudioConfig, PathsConfig


@dataclass
class ClipConfig:
    """Which clips are accepted."""

    min_seconds: float = 2.0
    on_cut: str = "longest"  # longest | fail


@dataclass
class PreprocessConfig:
    """`python -m talksplat.preprocess`."""

    check: str | None = None
    video: str | None = None
    subject: str | None = None
    audio_file: str | None = None
    work_dir: str | None = None
    resolution: int = 512
    points: int = 30000
    composites: bool = True
    workers: int | None = None
    clip: ClipConfig = field(default_factory=ClipConfig)
    audio: AudioConfig = field(default_factory=AudioConfig)
    face_tracker: Any = MISSING
    segmentation: Any = MISSING
    paths: PathsConfig = field(default_factory=PathsConfig)
