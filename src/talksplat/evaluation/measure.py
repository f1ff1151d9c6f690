"""Measurement of an avatar on frames of a subject, with pictures and video."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Tensor

from talksplat.callbacks.progress import RunProgress
from talksplat.data.datamodule import PortraitDataModule
from talksplat.evaluation.pose_alignment import DEFINITION, aligned_psnr
from talksplat.files import write_json
from talksplat.media import SAMPLE_RATE
from talksplat.media.sound import read_audio
from talksplat.media.video_writer import VideoWriter
from talksplat.metrics.open import nodes_of_run, open_suite
from talksplat.metrics.picture import comparison_grid, save_picture
from talksplat.models.model_size import model_size
from talksplat.rendering.renderer import AvatarRenderer
from talksplat.subject_format.identity import identity

logger = logging.getLogger(__name__)
GRID_FRAMES = 6
HELD_OUT, VALIDATION = "held-out frames", "validation frames"
TRAINING, ALIGNED = "training frames", "frames with fitted poses"


def evaluate_run(
    config: DictConfig, renderer: AvatarRenderer, data: PortraitDataModule, run_dir: Path, progress: RunProgress
) -> dict[str, Any]:
    """Measure test frames, some training frames, and validation frames where there are some, after training; write
    `metrics.json`, `test/render.mp4` and `test/grid.png` into the run folder."""
    subject, count = data.subject, config.evaluation.train_frames
    test_dir = run_dir / "test"
    test_dir.mkdir(exist_ok=True)
    logger.info("measuring %d held-out frames", len(subject.test))
    progress.begin(HELD_OUT)
    test = measure(config, renderer, data, subject.test, test_dir, progress)
    fps = renderer.clock.fps
    progress.begin(TRAINING)
    some = spread(subject.train, count)
    train = measure(config, renderer, data, some, None, progress, training_frames=True)
    facts = {"split": "test", "chosen_on": subject.chosen_on, **about(renderer, data, subject.test), "fps": fps}
    metrics = {**facts, **test, "train": train}
    if len(subject.val):
        progress.begin(VALIDATION)
        metrics["val"] = measure(config, renderer, data, subject.val, None, progress)
    if config.evaluation.align_steps:
        metrics["aligned"] = aligned(config, renderer, data, subject.test, progress)
    write_json(run_dir / "metrics.json", metrics)
    return metrics


def about(renderer: AvatarRenderer, data: PortraitDataModule, positions: np.ndarray) -> dict[str, Any]:
    """Facts about what is measured: subject, identity of the measured frames, resolution, size of the avatar."""
    subject, model = data.subject, renderer.model
    return {
        "subject": str(Path(subject.root).name),
        "identity": identity(subject, subject.frame_ids[positions].tolist()),
        "resolution": [subject.width, subject.height],
        "num_gaussians": model.num_gaussians,
        **model_size(model, renderer.mode),
    }


def spread(positions: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of the positions, evenly spread."""
    some = torch.as_tensor(positions)
    return some[torch.linspace(0, len(some) - 1, min(count, len(some))).long()].numpy()


def aligned(
    config: DictConfig, renderer: AvatarRenderer, data: PortraitDataModule, positions: np.ndarray, progress: RunProgress
) -> dict[str, Any]:
    """Frames after fitting their poses: mean, definition, and value of each frame."""
    steps = config.evaluation.align_steps
    logger.info("measuring %d frames with %d steps on their poses", len(positions), steps)
    progress.begin(ALIGNED)
    values = []
    for chunk in torch.as_tensor(positions).split(config.evaluation.batch_size):
        batch = data.store.batch(chunk, renderer.device)
        parts = (renderer.model, renderer.rasterizer, renderer.mode, renderer.sh_degree)
        values += aligned_psnr(*parts, batch, steps).tolist()
        progress.advance(len(chunk))
    return {
        "psnr_composite": sum(values) / len(values),
        "definition": DEFINITION,
        "steps": steps,
        "frames": dict(zip(data.subject.frame_ids[positions].tolist(), values)),
    }


def measure(
    config: DictConfig,
    renderer: AvatarRenderer,
    data: PortraitDataModule,
    positions: np.ndarray,
    test_dir: Path | None,
    progress: RunProgress,
    training_frames: bool = False,
) -> dict[str, Any]:
    """All metrics of frames of a subject (`MetricSuite.compute`).

    Args:
        config: of the run, of which `evaluation` and `paths` are used.
        positions: of the frames in the subject.
        test_dir: folder for `render.mp4` and `grid.png`; None: neither is written.
        training_frames: leave out metrics that are too slow for frames that are measured in addition.
    """
    device = renderer.device
    nodes = nodes_of_run(config)
    suite = open_suite(nodes, config.paths.assets, device, data.subject, training_frames)
    shown = set(torch.linspace(0, len(positions) - 1, GRID_FRAMES).long().tolist())
    kept: list[tuple[Tensor, Tensor, int]] = []
    size = config.evaluation.batch_size
    subject = data.subject
    writer = None
    if test_dir is not None:
        audio = _audio_of(data, positions)
        writer = VideoWriter(
            test_dir / "render.mp4", subject.width, subject.height, subject.fps, audio, SAMPLE_RATE, crf=12
        )
        writer.__enter__()
    try:
        for start in range(0, len(positions), size):
            batch = data.store.batch(torch.as_tensor(positions[start : start + size]), device)
            image, _ = renderer.render(batch.conditions, batch.background_u8)
            suite.update(image, batch)
            for offset in range(len(image)):
                if writer is not None:
                    writer.write((image[offset] * 255).round().byte().cpu().numpy())
                if start + offset in shown:
                    kept.append((batch.original[offset].cpu(), image[offset].cpu(), int(batch.frame_ids[offset])))
            progress.advance(len(image))
    except BaseException as error:
        if writer is not None:
            writer.__exit__(type(error), error, error.__traceback__)
        raise
    if writer is not None:
        writer.__exit__(None, None, None)
        originals, renders, ids = zip(*kept)
        save_picture(test_dir / "grid.png", comparison_grid(torch.stack(originals), torch.stack(renders), list(ids)))
    return suite.compute()


def _audio_of(data: PortraitDataModule, positions: np.ndarray) -> np.ndarray | None:
    """Concatenated sound of each frame, in sync where frames are missing; None where there is no sound."""
    path = Path(data.subject.root) / "aud.wav"
    if not path.exists():
        return None
    samples, ids = read_audio(path), data.subject.frame_ids[positions]
    edges = np.round(np.stack([ids, ids + 1]) / data.subject.fps * SAMPLE_RATE).astype(int)
    return np.concatenate([samples[start:end] for start, end in edges.T])
