"""Renders an avatar from its checkpoint, as `render.py` is told."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from talksplat.config import instantiate
from talksplat.errors import UserError
from talksplat.rasterizer.auto import AutoRasterizer
from talksplat.rendering.drive import drive_from_audio, drive_from_text
from talksplat.rendering.panels import Panels, grey
from talksplat.rendering.plan import Plan, plan_speech, plan_split
from talksplat.rendering.progress import RenderProgress
from talksplat.rendering.renderer import AvatarRenderer
from talksplat.rendering.request import PRECISIONS, check_request, choose_device, metrics_path
from talksplat.rendering.scene import Scene, open_scene
from talksplat.rendering.streaming import FrameStream
from talksplat.rendering.video_writer import VideoWriter
from talksplat.training.checkpoint import build_model, checkpoint_config, read_checkpoint
from talksplat.training.provenance import write_json
from talksplat.types import Conditions, FrameBatch

if TYPE_CHECKING:
    from talksplat.metrics.suite import MetricSuite

logger = logging.getLogger(__name__)

GPU_BATCH, CPU_BATCH = 16, 4


@dataclass
class RenderReport:
    """What was made and how fast. Speeds leave out the first chunk and are None for a video of one chunk."""

    output: Path
    num_frames: int
    seconds: float
    render_fps: float | None  # model and rasteriser alone, synchronised with the device
    total_fps: float | None  # with reading of backgrounds, copies and encoding
    metrics: dict[str, Any] | None  # of a split


def render(config: DictConfig) -> RenderReport:
    """Make the video that a checked configuration of `render.py` asks for.

    Raises:
        UserError: whatever is wrong with the settings or the files they name, before anything is written.
    """
    output = check_request(config)
    device = choose_device(config.device)
    checkpoint = read_checkpoint(config.checkpoint)
    trained = checkpoint_config(checkpoint)
    entry = checkpoint["talksplat"]
    soft_masks = OmegaConf.select(trained, "dataset.loader.soft_masks", default=False)
    scene = open_scene(entry["subject"], trained.audio, config.subject, soft_masks)
    plan = _plan(config, trained, scene)
    model = build_model(checkpoint, device)
    if config.attention and (entry["mode"] != "deform" or not model.has_attention):
        raise UserError("attention=true: the avatar of this checkpoint attends to nothing; leave it out")
    if entry["mode"] != "deform" and config.split is None:
        logger.warning(
            "%s is of the canonical stage, which has no speech yet: the mouth will stay still", config.checkpoint
        )
    model.freeze_for_inference()
    settings = {key: trained.rasterizer[key] for key in ("near_plane", "eps2d") if key in trained.rasterizer}
    renderer = AvatarRenderer(
        model,
        AutoRasterizer(**settings),
        entry["mode"],
        entry["active_sh_degree"],
        scene.width,
        scene.height,
        PRECISIONS[config.precision],
    )
    suite = None if config.split is None else _suite(config, device)
    batch_size = config.batch_size or (GPU_BATCH if device.type == "cuda" else CPU_BATCH)
    job = RenderJob(plan, renderer, device, batch_size, config.attention, suite)
    return job.run(output, config.crf)


def _plan(config: DictConfig, trained: DictConfig, scene: Scene) -> Plan:
    lags = list(OmegaConf.select(trained, "dataset.motion_lags") or [])
    if config.split is not None:
        across = OmegaConf.select(trained, "dataset.loader.audio_across_split", default=True)
        return plan_split(scene, config.split, trained.audio.context, across, lags)
    if config.text is not None:
        drive = drive_from_text(config.text, config.voice, trained.audio, config.speech_model)
    else:
        drive = drive_from_audio(config.audio_file, trained.audio, config.sound, config.speech_model)
    return plan_speech(scene, drive, instantiate(config.camera), trained.audio.context, lags)


def _suite(config: DictConfig, device: torch.device) -> MetricSuite:
    from talksplat.metrics.suite import MetricSuite  # seconds to import, and new speech does without

    assets = None if config.paths.assets is None else Path(config.paths.assets)
    return MetricSuite(config.lpips_net, assets, device)


class RenderJob:
    """Renders the chunks of a plan into a video, with constant memory.

    Args:
        plan: what drives each frame.
        renderer: draws it.
        device: where.
        batch_size: frames at once.
        attention: show attention beside the rendering.
        suite: measures the renderings against the originals, which are then shown beside them; None: new speech.
    """

    def __init__(
        self,
        plan: Plan,
        renderer: AvatarRenderer,
        device: torch.device,
        batch_size: int,
        attention: bool = False,
        suite: MetricSuite | None = None,
    ) -> None:
        self.plan, self.renderer, self.device = plan, renderer, device
        self.batch_size = batch_size
        self.with_attention, self.suite = attention, suite
        measured = () if suite is None else ("original", "head_mask", "head_alpha")
        self.wanted = ("background", *measured[: 3 if suite and plan.scene.subject.soft_masks else 2])
        names = ([] if suite is None else ["original"]) + ["render"]
        names += list(renderer.model.token_names) if attention else []
        self.panels = Panels(names, plan.scene.width, plan.scene.height)

    def run(self, output: Path, crf: int) -> RenderReport:
        """Render everything; the file appears when it is complete."""
        plan = self.plan
        size = f"{self.panels.width}x{self.panels.height}"
        logger.info("%d frames (%.1f s) of %s pixels on %s", len(plan), len(plan) / plan.fps, size, self.device)
        writer = VideoWriter(output, self.panels.width, self.panels.height, plan.fps, plan.sound, plan.sound_rate, crf)
        with (
            plan.scene.reader(*self.wanted) as reader,
            FrameStream(writer) as stream,
            RenderProgress(len(plan)) as progress,
        ):
            chunks = plan.chunks(self.batch_size)
            waiting = reader.request(plan.path.positions[chunks[0]])
            for index, chunk in enumerate(chunks):
                images = waiting()
                if index + 1 < len(chunks):
                    waiting = reader.request(plan.path.positions[chunks[index + 1]])
                stream.write(self._pictures(chunk, images))
                progress.advance(chunk.stop - chunk.start)
                if index == 0:
                    warm = time.perf_counter()
        seconds = time.perf_counter() - warm  # up to the closed file
        counted = len(plan) - chunks[0].stop
        metrics = None if self.suite is None else self._write_metrics(output)
        return RenderReport(
            output=output,
            num_frames=len(plan),
            seconds=len(plan) / plan.fps,
            render_fps=self.renderer.clock.fps,
            total_fps=counted / seconds if counted else None,
            metrics=metrics,
        )

    def _pictures(self, chunk: slice, images: dict[str, Tensor]) -> Tensor:
        """uint8 [B, H, W, 3] of a chunk, all panels joined."""
        images = {name: _upload(image, self.device) for name, image in images.items()}
        conditions = self.plan.conditions(chunk, self.device)
        rendered, gaussians = self.renderer.render(conditions, images["background"])
        pictures = [rendered]
        if self.suite is not None:
            self.suite.update(rendered, self._batch(chunk, conditions, images))
            pictures.insert(0, images["original"].float() / 255)
        if self.with_attention:
            pictures += grey(self.renderer.attention(conditions, gaussians))
        return self.panels(pictures)

    def _batch(self, chunk: slice, conditions: Conditions, images: dict[str, Tensor]) -> FrameBatch:
        positions = self.plan.path.positions[chunk]
        subject = self.plan.scene.subject
        return FrameBatch(
            frame_ids=torch.as_tensor(subject.frame_ids[positions]).to(self.device),
            conditions=conditions,
            original_u8=images["original"],
            background_u8=images["background"],
            head_mask=images["head_mask"],
            lip_boxes=torch.as_tensor(subject.lip_boxes[positions]).to(self.device),
            head_alpha_u8=images.get("head_alpha"),
        )

    def _write_metrics(self, output: Path) -> dict[str, Any]:
        metrics = {"video": output.name, "fps": self.renderer.clock.fps, **self.suite.compute()}
        write_json(metrics_path(output), metrics)
        return metrics


def _upload(image: Tensor, device: torch.device) -> Tensor:
    return image.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else image
