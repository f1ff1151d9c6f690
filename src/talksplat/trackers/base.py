"""Interface of experiment trackers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger


class Outcome(IntEnum):
    """How a run ended, as exit codes that Weights & Biases shows as finished, failed and killed."""

    FINISHED = 0
    FAILED = 1
    INTERRUPTED = 255


@dataclass(frozen=True)
class TrackedRun:
    """A run as its trackers see it."""

    folder: Path
    name: str  # e.g. "no_ppe seed1"
    tags: tuple[str, ...]
    group: str | None  # the sweep it belongs to
    config: Mapping[str, Any]  # resolved values
    origin: Mapping[str, Any]  # command, git, host, versions
    stages: Mapping[str, int]  # steps before each stage
    resume_step: int = 0
    already_logged: frozenset[tuple[int, str]] = frozenset()  # (step, metric) of an interrupted run after `resume_step`


class Tracker(Logger):
    """Lightning logger that also takes pictures, checkpoints and results; what it has no use for, it ignores.

    Metric names are `STAGE/NAME`, or without a stage `seconds`; steps count over the whole run.
    """

    def check(self) -> None:
        """Find what is wrong before training starts. Raises UserError: a package, login or sensible setting is
        missing."""

    def open(self, run: TrackedRun) -> None:
        """Begin, or continue an interrupted run."""
        raise NotImplementedError

    def log_picture(self, name: str, path: Path, step: int) -> None:
        """Show a picture file as `STAGE/preview`, at a step of the run."""

    def log_checkpoint(self, path: Path, stage: str, step: int, final: bool) -> None:
        """A checkpoint was written; `final`: it is the last one of its stage."""

    def log_results(self, metrics: Mapping[str, Any], test_dir: Path, step: int) -> None:
        """The run is measured: `metrics` is the content of metrics.json, `test_dir` holds grid.png and render.mp4."""

    def finish(self, outcome: Outcome) -> None:
        """End the tracking within a bounded time, whatever happened."""

    @property
    def name(self) -> str:
        return type(self).__name__

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Each tracker takes the settings from `TrackedRun.config` when it opens."""


def flat_results(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Means of test frames as `test/NAME`, of training frames as `train/NAME`, of validation frames, where there are some, as
    `val/NAME`; size and speed."""
    flat = {"fps": metrics["fps"], "num_gaussians": metrics["num_gaussians"], "size_bytes": metrics["size_bytes"]}
    flat |= {f"parameters/{name}": count for name, count in metrics["parameters"].items()}
    for prefix, measured in _parts(metrics):
        flat |= {f"{prefix}/{name}": value for name, value in measured["mean"].items()}
    if "aligned" in metrics:
        flat["test/aligned_psnr_composite"] = metrics["aligned"]["psnr_composite"]
    return {name: value for name, value in flat.items() if value is not None}  # too few frames have no speed


def not_measured(metrics: Mapping[str, Any]) -> dict[str, str]:
    """`test/not_measured/NAME`: why it is missing."""
    return {f"{part}/not_measured/{name}": why for part, of in _parts(metrics) for name, why in of["reasons"].items()}


def _parts(metrics: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return [("test", metrics), *((name, metrics[name]) for name in ("train", "val") if name in metrics)]
