"""Measures a trained avatar on held-out frames, and on some training frames beside them."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor

from talksplat.data.datamodule import PortraitDataModule
from talksplat.metrics.picture import comparison_grid, save_picture
from talksplat.metrics.suite import MetricSuite
from talksplat.models.talking_head import TalkingHead
from talksplat.preprocess.audio_io import SAMPLE_RATE, read_audio
from talksplat.rasterizer.base import Rasterizer
from talksplat.rendering.video_writer import VideoWriter
from talksplat.training.mouth import add_mouth_correlation
from talksplat.training.provenance import write_json
from talksplat.training.stage import Stage
from talksplat.types import FrameBatch

logger = logging.getLogger(__name__)
GRID_FRAMES = 6


class FrameRenderer:
    """Renders batches of conditions as they stand, and times it.

    Args:
        mode: "canonical" or "deform".
        sh_degree: spherical-harmonics degree that was active when training ended.
    """

    def __init__(
        self, model: TalkingHead, rasterizer: Rasterizer, mode: str, sh_degree: int, width: int, height: int
    ) -> None:
        self.model = model.eval()
        self.rasterizer = rasterizer
        self.mode = mode
        self.sh_degree = sh_degree
        self.width, self.height = width, height
        self.seconds, self.frames = 0.0, 0

    @torch.inference_mode()
    def __call__(self, batch: FrameBatch) -> Tensor:
        """Images [B,H,W,3] in [0, 1]; the first call warms up and is not timed."""
        _synchronize(batch.conditions.viewmats.device)
        began = time.perf_counter()
        conditions = batch.conditions
        gaussians = self.model(conditions, self.mode, self.sh_degree)
        output = self.rasterizer(
            gaussians, conditions.viewmats, conditions.Ks, self.width, self.height, backgrounds=batch.background
        )
        image = output.image.clamp(0, 1)
        _synchronize(image.device)
        if self.frames or self.seconds:
            self.seconds += time.perf_counter() - began
            self.frames += len(image)
        else:
            self.seconds = 1e-9
        return image

    @property
    def fps(self) -> float | None:
        """Frames per second of model and rasteriser, synchronised; None where nothing was timed."""
        return self.frames / self.seconds if self.frames else None


def evaluate_run(
    config: DictConfig,
    model: TalkingHead,
    rasterizer: Rasterizer,
    data: PortraitDataModule,
    device: torch.device,
    run_dir: Path,
    stage: Stage,
) -> dict[str, Any]:
    """Measure, and write `metrics.json`, `test/render.mp4` and `test/grid.png` into the run folder."""
    subject = data.subject
    model.to(device)
    degree = stage.sh_degree(stage.steps - 1, model.gaussians.sh_degree)
    render = FrameRenderer(model, rasterizer, stage.mode, degree, subject.width, subject.height)
    test_dir = run_dir / "test"
    test_dir.mkdir(exist_ok=True)
    logger.info("measuring %d held-out frames", len(subject.val))
    val = _measure(config, render, data, subject.val, device, test_dir)
    fps = render.fps
    some = torch.as_tensor(subject.train)
    some = some[torch.linspace(0, len(some) - 1, min(config.evaluation.train_frames, len(some))).long()]
    train = _measure(config, render, data, some.numpy(), device, None)
    metrics = {
        "split": "val",
        "subject": str(Path(subject.root).name),
        "resolution": [subject.width, subject.height],
        "num_gaussians": model.gaussians.num_gaussians,
        "fps": fps,
        **val,
        "train": train,
    }
    write_json(run_dir / "metrics.json", metrics)
    return metrics


def _measure(
    config: DictConfig,
    render: FrameRenderer,
    data: PortraitDataModule,
    positions: Any,
    device: torch.device,
    test_dir: Path | None,
) -> dict[str, Any]:
    suite = MetricSuite(config.evaluation.lpips_net, _path(config.paths.assets), device)
    shown = set(torch.linspace(0, len(positions) - 1, GRID_FRAMES).long().tolist())
    kept: list[tuple[Tensor, Tensor, int]] = []
    images: list[Tensor] = []
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
            image = render(batch)
            suite.update(image, batch)
            for offset in range(len(image)):
                u8 = (image[offset] * 255).round().byte().cpu()
                if writer is not None:
                    writer.write(u8.numpy())
                    if (
                        config.dataset.sample is not None
                    ):  # only there the mouth is measured; a long clip's fill the memory
                        images.append(u8)
                if start + offset in shown:
                    kept.append((batch.original[offset].cpu(), image[offset].cpu(), int(batch.frame_ids[offset])))
    except BaseException as error:
        if writer is not None:
            writer.__exit__(type(error), error, error.__traceback__)
        raise
    if writer is not None:
        writer.__exit__(None, None, None)
        originals, renders, ids = zip(*kept)
        save_picture(test_dir / "grid.png", comparison_grid(torch.stack(originals), torch.stack(renders), list(ids)))
    result = suite.compute()
    if test_dir is not None:
        add_mouth_correlation(result, config, data, positions, images)
    return result


def _audio_of(data: PortraitDataModule, positions: Any) -> Any:
    path = Path(data.subject.root) / "aud.wav"
    if not path.exists():
        return None
    samples = read_audio(path)
    first = int(data.subject.frame_ids[positions[0]])
    return samples[round(first / data.subject.fps * SAMPLE_RATE) :]


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
