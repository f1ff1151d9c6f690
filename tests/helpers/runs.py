"""Short training runs on the tiny subject."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from talksplat.config import compose
from tests.helpers.tiny_subject import AUDIO_WIDTH

# Widths and counts small enough for seconds; the structure is the real one.
SMALL = [
    "stage=smoke",
    "trainer=cpu",
    "dataset=portrait",
    f"audio.extractor.num_mels={AUDIO_WIDTH}",
    "model.triplane.resolutions=[8,16]",
    "stage.stages.coarse.steps=12",
    "stage.stages.fine.steps=8",
    "stage.stages.coarse.density.start=3",
    "stage.stages.coarse.density.prune_start=3",
    "stage.stages.coarse.density.stop=11",
    "stage.stages.coarse.density.every=4",
    "stage.stages.coarse.density.grad_threshold=1e-5",
    "trainer.checkpoint_every=3",
    "trainer.log_every=2",
    "trainer.preview_every=6",
    "evaluation.lpips_net=null",
]


def small_overrides(subject: Path, *extra: str) -> list[str]:
    """Overrides of a run of some seconds on a subject folder."""
    return [*SMALL, f"dataset.root={subject}", *extra]


def small_config(subject: Path, *extra: str) -> DictConfig:
    """Checked configuration of such a run."""
    return compose("train", small_overrides(subject, *extra))


def weights(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """The model's tensors in a checkpoint."""
    return {k: v for k, v in checkpoint["state_dict"].items() if k.startswith("model.")}
