"""A video from its render sequence, chunk by chunk."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from talksplat.files import write_json
from talksplat.media.video_writer import VideoWriter
from talksplat.rendering.async_encoder import AsyncEncoder
from talksplat.rendering.attribution_figure import AttributionFigure
from talksplat.rendering.attribution_maps import AttributionMaps
from talksplat.rendering.panels import Panel, Panels
from talksplat.rendering.progress import RenderProgress
from talksplat.rendering.render_sequence import RenderSequence
from talksplat.rendering.renderer import AvatarRenderer
from talksplat.rendering.request import maps_path, metrics_path
from talksplat.types import Conditions, FrameBatch

if TYPE_CHECKING:
    from talksplat.metrics.suite import MetricSuite

logger = logging.getLogger(__name__)


@dataclass
class RenderReport:
    """Result and speed of a rendering. Speeds exclude the first chunk and are None for a video of one chunk."""

    output: Path
    num_frames: int
    seconds: float
    render_fps: float | None  # model and rasteriser alone, synchronised with the device
    total_fps: float | None  # including reading of backgrounds, copies and encoding
    metrics: dict[str, Any] | None  # of a split
    picture: Path | None  # figure of the attribution maps


class RenderJob:
    """Renders the chunks of a render sequence into a video, with constant memory.

    Args:
        sequence: conditions of each frame.
        renderer: draws them.
        device: of the renderer.
        batch_size: frames per chunk.
        attribution: maps shown next to the rendering, and in a figure next to the video; None: none.
        suite: metrics against the originals, which are then shown next to the rendering; None: new speech.
    """

    def __init__(
        self,
        sequence: RenderSequence,
        renderer: AvatarRenderer,
        device: torch.device,
        batch_size: int,
        attribution: AttributionMaps | None = None,
        suite: MetricSuite | None = None,
    ) -> None:
        self.sequence, self.renderer, self.device = sequence, renderer, device
        self.batch_size = batch_size
        self.attribution, self.suite = attribution, suite
        measured = () if suite is None else ("original", "head_mask", "head_alpha")
        self.wanted = ("background", *measured[: 3 if suite and sequence.clip.subject.soft_masks else 2])
        shown = [Panel("original")] if suite is not None else []
        shown += [Panel("render"), *(attribution.panels if attribution is not None else [])]
        size = (sequence.clip.width, sequence.clip.height)
        self.panels = Panels(shown, *size)
        numbers = range(len(sequence)) if suite is None else sequence.clip.frame_ids[sequence.path.positions]
        self.picture = AttributionFigure(shown, numbers, sequence.fps, *size) if attribution is not None else None

    def run(self, output: Path, crf: int) -> RenderReport:
        """Render everything; the file appears when it is complete."""
        sequence = self.sequence
        size = f"{self.panels.width}x{self.panels.height}"
        logger.info(
            "%d frames (%.1f s) of %s pixels on %s", len(sequence), len(sequence) / sequence.fps, size, self.device
        )
        writer = VideoWriter(
            output, self.panels.width, self.panels.height, sequence.fps, sequence.sound, sequence.sound_rate, crf
        )
        with (
            sequence.clip.reader(*self.wanted) as reader,
            AsyncEncoder(writer) as encoder,
            RenderProgress(len(sequence)) as progress,
        ):
            chunks = sequence.chunks(self.batch_size)
            waiting = reader.request(sequence.path.positions[chunks[0]])
            for index, chunk in enumerate(chunks):
                images = waiting()
                if index + 1 < len(chunks):
                    waiting = reader.request(sequence.path.positions[chunks[index + 1]])
                encoder.write(self._pictures(chunk, images))
                progress.advance(chunk.stop - chunk.start)
                if index == 0:
                    warm = time.perf_counter()
        seconds = time.perf_counter() - warm  # up to the closed file
        counted = len(sequence) - chunks[0].stop
        metrics = None if self.suite is None else self._write_metrics(output)
        if self.picture is not None:
            self.picture.write(maps_path(output))
        return RenderReport(
            output=output,
            num_frames=len(sequence),
            seconds=len(sequence) / sequence.fps,
            render_fps=self.renderer.clock.fps,
            total_fps=counted / seconds if counted else None,
            metrics=metrics,
            picture=maps_path(output) if self.picture is not None else None,
        )

    def _pictures(self, chunk: slice, images: dict[str, Tensor]) -> Tensor:
        """uint8 [B, H, W, 3] of a chunk, all panels joined."""
        images = {name: _upload(image, self.device) for name, image in images.items()}
        conditions = self.sequence.conditions(chunk, self.device)
        rendered, gaussians = self.renderer.render(conditions, images["background"])
        pictures = [rendered]
        if self.suite is not None:
            self.suite.update(rendered, self._batch(chunk, conditions, images))
            pictures.insert(0, images["original"].float() / 255)
        if self.attribution is not None:
            pictures += self.attribution(conditions, gaussians, rendered)
            self.picture.keep(chunk, pictures)
        return self.panels(pictures)

    def _batch(self, chunk: slice, conditions: Conditions, images: dict[str, Tensor]) -> FrameBatch:
        positions = self.sequence.path.positions[chunk]
        subject = self.sequence.clip.subject
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
