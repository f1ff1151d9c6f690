"""What `render.py` can be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from talksplat.config.schema import MeasuredConfig, PathsConfig


@dataclass
class RenderConfig:
    """`render.py`; each setting is explained in `conf/render.yaml`."""

    checkpoint: str = MISSING
    audio_file: str | None = None
    text: str | None = None
    split: str | None = None
    voice: str = "en"
    sound: str | None = None
    subject: str | None = None
    speech_model: str | None = None
    output: str = "talking.mp4"
    overwrite: bool = False
    attention: bool = False
    deformation: bool = False
    batch_size: int | None = None
    device: str = "auto"
    precision: str = "float32"
    crf: int = 18
    lpips_net: str | None = "alex"
    camera: Any = MISSING
    evaluation: MeasuredConfig = field(default_factory=MeasuredConfig)
    paths: PathsConfig = field(default_factory=PathsConfig)
