"""What each command's configuration may hold at its top; nodes with a `_target_` are checked against their class."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING


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
    roots: list[str] | None = None  # several of them, to train together; the first one becomes `root`
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
class HydraChoices:
    """Hydra's choices that made a configuration (`compose.hydra_choices`); no setting depends on them."""

    groups: dict[str, Any] = field(default_factory=dict)  # choice of each group
    experiments: list[str] = field(default_factory=list)
    overrides: list[str] = field(default_factory=list)  # as given on the command line
    best_audio_missing: Any = ()  # folders without features of the best kind, for which audio=auto fell back


@dataclass
class TrainConfig:
    """`train.py`."""

    seed: int = 0
    resume: bool = False
    dry_run: bool = False
    checkpoint: str | None = None  # weights to start from
    trust: list[str] = field(
        default_factory=list
    )  # packages besides our own that a file may name, see config/from_files.py
    checkpoint_parts: list[str] | None = None  # globs of them; shared: all but what is a person's; null: all
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
    chosen: HydraChoices = field(default_factory=HydraChoices)


@dataclass
class RenderConfig:
    """`render.py`; each setting is explained in `conf/render.yaml`."""

    checkpoint: str = MISSING
    audio_file: str | None = None
    text: str | None = None
    trust: list[str] = field(default_factory=list)
    split: str | None = None
    voice: str = "en"
    sound: str | None = None
    sound_track: int | None = None
    subject: str | None = None
    person: str | None = None  # whose avatar, of several people
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


@dataclass
class ClipConfig:
    """Which clips are accepted."""

    min_seconds: float = 2.0
    on_cut: str = "longest"  # longest | keep | fail
    video_track: Any = "auto"  # number from 1
    sound_track: Any = "auto"
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


@dataclass
class CompareConfig:
    """`python -m talksplat.compare`."""

    runs: Any = MISSING  # run folders, folders that hold some, or globs: a list, or text with commas
    out: str = MISSING
    overwrite: bool = False
    video: bool = True
    worst_frames: int = 3
    reference: str | None = None  # group or run that the others are compared with
    foreign: str | None = None  # NAME:PATH of rendered videos of other projects, with commas
    trust: list[str] = field(default_factory=list)
    published: str | None = None  # published tables to set beside the runs, with commas; auto: those with rows for them


@dataclass
class LearnLipsConfig:
    """`python -m talksplat.learn_lips`."""

    subjects: Any = MISSING
    out: str = MISSING
    note: str | None = None
    per_clip: bool | None = None
    first_row: int = -16
    last_row: int = 5
    audio: AudioConfig = field(default_factory=AudioConfig)
    paths: PathsConfig = field(default_factory=PathsConfig)


@dataclass
class EvaluateConfig:
    """`python -m talksplat.evaluate`; each setting is explained in `conf/evaluate.yaml`."""

    run: str = MISSING
    trust: list[str] = field(default_factory=list)
    split: str = "test"
    subject: str | None = None
    person: str | None = None  # whose avatar, of several people
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


SCHEMAS = {
    "train": TrainConfig,
    "render": RenderConfig,
    "preprocess": PreprocessConfig,
    "compare": CompareConfig,
    "learn_lips": LearnLipsConfig,
    "evaluate": EvaluateConfig,
}
