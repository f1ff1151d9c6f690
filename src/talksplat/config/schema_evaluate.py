"""What `python -m talksplat.evaluate` can be told."""

from __future__ import annotations

from dataclasses import dataclass, field

from omegaconf import MISSING

from talksplat.config.schema import MeasuredConfig, PathsConfig


@dataclass
class EvaluateConfig:
    """`python -m talksplat.evaluate`; each setting is explained in `conf/evaluate.yaml`."""

    run: str = MISSING
    split: str = "test"
    subject: str | None = None
    frames: int | None = None
    out: str | None = None
    metrics: list[str] | None = None
    lpips_net: str | None = "alex"
    align_steps: int = 0
    batch_size: int = 4
    speed: int = 200
    device: str = "auto"
    evaluation: MeasuredConfig = field(default_factory=MeasuredConfig)
    paths: PathsConfig = field(default_factory=PathsConfig)
