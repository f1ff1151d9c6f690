"""What each command's configuration may hold at its top; nodes with a `_target_` are checked against their class."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

SCHEMAS = {
    "train": "talksplat.config.schema.TrainConfig",
    "render": "talksplat.config.schema_render.RenderConfig",
    "preprocess": "talksplat.config.schema_preprocess.PreprocessConfig",
    "compare": "talksplat.config.schema_compare.CompareConfig",
    "learn_lips": "talksplat.config.schema_learn_lips.LearnLipsConfig",
    "evaluate": "talksplat.config.schema_evaluate.EvaluateConfig",
}


@dataclass
class AudioConfig:
    """One kind of audio feature; its width and window reach the model by interpolation."""

    name: str = MISSING
    files: list[str] = field(default_factory=list)  # names tried in a subject folder, in this order
    width: int = MISSING  # numbers in one feature row
    window: int = MISSING  # feature rows in one window
    context: int = 8  # windows around a frame
    ahead: int | None = None  # of them after the frame; null: context/2 - 1, as the original
    components: int | None = None  # principal components of its rows that the model sees; null: the rows themselves
    lip_prior: str | None = None  # of other people's lips at these features, file or shipped name; null: none
    extractor: Any = None  # computes the features from a recording; null: only stored features work


@dataclass
class DatasetConfig:
    """Where frames come from."""

    root: str | None = MISSING  # subject folder; the embedded sample is made on demand
    sample: Any = None  # settings of the embedded sample; null for a folder of one's own
    cache: str = "memory"
    cache_dir: str | None = None
    max_frames: int | None = None
    train_seconds: float | None = None
    split: str = "paper"
    val_share: float = 0.1
    val_gap: int | None = None
    audio_across_split: bool = True
    motion_lags: list[float] = field(default_factory=list)
    action_units: list[str] = field(default_factory=list)
    soft_masks: bool = True
    loader: Any = MISSING


@dataclass
class MeasuredConfig:
    """What is measured of rendered frames."""

    lpips_net: str | None = "alex"
    metrics: dict[str, Any] = field(default_factory=dict)  # nodes by name, see `conf/metric`


@dataclass
class EvaluationConfig(MeasuredConfig):
    """What is measured when training is over."""

    batch_size: int = 4
    train_frames: int = 20  # training frames spread over the clip that are measured beside the held-out ones
    align_steps: int = 0  # held-out frames are measured once more after so many steps of fitting their poses; 0: not


@dataclass
class PathsConfig:
    """Folders and files outside the project."""

    data: str = MISSING
    assets: str | None = None


@dataclass
class ChosenConfig:
    """What the configuration was made of. The commands fill it in; nothing depends on it."""

    groups: dict[str, Any] = field(default_factory=dict)  # choice of each group
    experiments: list[str] = field(default_factory=list)
    overrides: list[str] = field(default_factory=list)  # as given on the command line
    best_audio_missing: bool = False  # audio=auto fell back, as the folder has no features of the best kind


@dataclass
class TrainConfig:
    """`train.py`."""

    seed: int = 0
    resume: bool = False
    dry_run: bool = False
    checkpoint: str | None = None  # weights to start from
    run_dir: str | None = None
    audio: AudioConfig = field(default_factory=AudioConfig)
    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    model: Any = MISSING
    rasterizer: Any = MISSING
    loss: dict[str, Any] = field(default_factory=dict)
    stage: Any = MISSING
    pose_refinement: Any = None
    trainer: Any = MISSING
    tracker: Any = None
    backup: Any = None
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    paths: PathsConfig = field(default_factory=PathsConfig)
    chosen: ChosenConfig = field(default_factory=ChosenConfig)


def schema_of(config_name: str) -> type:
    """The dataclass that a command's configuration must fit."""
    module, name = SCHEMAS[config_name].rsplit(".", 1)
    return getattr(importlib.import_module(module), name)
