"""Schema of `python -m talksplat.preprocess`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING, DictConfig

from talksplat.config.schema import AudioConfig, PathsConfig
from talksplat.errors import UserError


@dataclass
class ClipConfig:
    """Which clips are accepted."""

    min_seconds: float = 2.0
    on_cut: str = "longest"  # longest | keep | fail
    sound_shift_ms: Any = "auto"  # move the sound earlier by so much | auto: by what is found for certain


@dataclass
class PreprocessConfig:
    """`python -m talksplat.preprocess`."""

    video: str | None = None
    subject: str | None = None
    features: str | None = None
    overwrite: bool = False
    check: str | None = None
    audio_file: str | None = None
    work_dir: str | None = None
    resolution: int = 512
    points: int = 30000
    composites: bool = False
    workers: int | None = None
    clip: ClipConfig = field(default_factory=ClipConfig)
    audio: AudioConfig = field(default_factory=AudioConfig)
    face_tracker: Any = MISSING
    segmentation: Any = MISSING
    alignment: Any = MISSING
    paths: PathsConfig = field(default_factory=PathsConfig)


def validate_preprocess(config: DictConfig) -> None:
    """Check what is to be made. Raises UserError naming the setting that is missing or too much."""
    given = {name for name in ("video", "subject", "features", "check") if config[name] is not None}
    if given not in ({"video", "subject"}, {"features"}, {"check"}):
        raise UserError(
            "give video=CLIP.mp4 and subject=FOLDER to make a subject folder, features=FOLDER to add audio features to "
            f"one, or check=FOLDER to look at one, not {' and '.join(sorted(given)) or 'none of them'}"
        )
    if config.overwrite and config.features is None:
        raise UserError("overwrite goes with features=FOLDER; a subject folder is never overwritten")
