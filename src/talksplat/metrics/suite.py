"""All metrics of a rendered clip, per frame and on average."""

from __future__ import annotations

import functools
import logging
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from talksplat.errors import UserError
from talksplat.losses.pretrained import BACKBONES
from talksplat.metrics.definitions import metric_definitions
from talksplat.metrics.image import psnr, ssim
from talksplat.metrics.landmarks import FaceMeasurer, landmark_distance, lip_gap
from talksplat.metrics.mouth_opening import pearson
from talksplat.metrics.perceptual import LPIPSMetric
from talksplat.metrics.regions import mouth_mask
from talksplat.types import FrameBatch

logger = logging.getLogger(__name__)

EMPTY_REGION = {
    "psnr_head": "no frame has head pixels in its mask",
    "psnr_mouth": "no frame has a lip box (no landmarks)",
}


class MetricSuite:
    """Compares renderings with the frames of a clip.

    A metric that cannot be computed here is None, with its reason; nothing stands in for it.

    Args:
        lpips_net: backbone of LPIPS, "alex" or "vgg"; None: LPIPS is not measured.
        assets: folder with pretrained weights and the face landmarker; None: TALKSPLAT_ASSETS, caches, downloads.
        device: where image metrics are computed.

    Raises:
        UserError: no such backbone.
    """

    def __init__(self, lpips_net: str | None, assets: Path | None, device: torch.device | str = "cpu") -> None:
        if lpips_net is not None and lpips_net not in BACKBONES:
            raise UserError(f"evaluation.lpips_net is one of {', '.join(BACKBONES)} or null, not {lpips_net!r}")
        self.device = torch.device(device)
        self.definitions = metric_definitions(lpips_net)
        self._unavailable: dict[str, str] = {}
        self._lpips = self._faces = None
        if lpips_net is None:
            self._unavailable["lpips"] = "switched off (evaluation.lpips_net=null)"
        else:
            self._lpips = self._try("lpips", lambda: LPIPSMetric(lpips_net, assets))
        self._faces = self._try("lmd", lambda: FaceMeasurer(assets))
        if self._faces is None:
            self._unavailable["lip_gap_correlation"] = self._unavailable["lmd"]
        self._batches: list[dict[str, Tensor | list[float]]] = []
        self._mouths: list[dict[str, float | None]] = []

    @torch.no_grad()
    def update(self, rendered: Tensor, batch: FrameBatch) -> None:
        """Measure B frames; rendered float [B, H, W, 3] in [0, 1]."""
        batch, rendered = batch.to(self.device), rendered.to(self.device).clamp(0, 1)
        if rendered.shape != batch.original_u8.shape:
            raise ValueError(f"renderings {tuple(rendered.shape)} for frames {tuple(batch.original_u8.shape)}")
        original = batch.original
        values = {
            "frame_id": batch.frame_ids,
            "psnr": psnr(rendered, original),
            "ssim": ssim(rendered, original),
            "psnr_head": psnr(rendered, original, batch.head_mask),
            "psnr_mouth": psnr(rendered, original, mouth_mask(batch.lip_boxes, *rendered.shape[1:3])),
            "psnr_composite": psnr(rendered, batch.target),
        }
        if self._lpips is not None:
            values["lpips"] = self._lpips(rendered, original)
        # On a GPU they stay there, so that nothing waits. On a CPU small tensors kept between large ones that come and go
        # would pin the heap: 5 MB a frame.
        on_gpu = self.device.type == "cuda"
        self._batches.append(values if on_gpu else {name: value.tolist() for name, value in values.items()})
        if self._faces is not None:
            self._measure_mouths(batch.original_u8, rendered)

    def compute(self) -> dict[str, Any]:
        """The results so far, ready for JSON.

        Returns:
            "definitions": {name: text}; "mean": {name: value or None}; "reasons": {name: why it is None};
            "notes": {name: what to know about the value}; "frames": [{"frame_id": number, name: value or None}].
        """
        if self._faces is not None:
            self._faces.close()
        frames = self._frames()
        mean, reasons = {}, dict(self._unavailable)
        for name in self.definitions:
            values = [frame[name] for frame in frames if frame.get(name) is not None]
            mean[name] = sum(values) / len(values) if values else None
        if self._faces is not None:
            mean["lip_gap_correlation"] = pearson(*self._gaps())
        for name, value in mean.items():
            if value is None:
                reasons.setdefault(name, self._reason(name, frames))
        return {
            "definitions": dict(self.definitions),
            "mean": mean,
            "reasons": reasons,
            "notes": self._notes(frames, mean),
            "frames": frames,
        }

    def _try(self, name: str, build):
        try:
            return build()
        except (UserError, ImportError) as error:
            self._unavailable[name] = str(error)
            _warn_once(f"{name} is not measured: {error}")
            return None

    def _measure_mouths(self, original_u8: Tensor, rendered: Tensor) -> None:
        images = (rendered * 255).round().to(torch.uint8).cpu().numpy()
        for original, image in zip(original_u8.cpu().numpy(), images):
            ours, theirs = self._faces(original, image)
            both = ours is not None and theirs is not None
            self._mouths.append(
                {
                    "lmd": landmark_distance(ours, theirs) if both else None,
                    "lip_gap_original": None if ours is None else lip_gap(ours),
                    "lip_gap_rendered": None if theirs is None else lip_gap(theirs),
                }
            )

    def _frames(self) -> list[dict[str, Any]]:
        if not self._batches:
            return []
        columns = {name: self._column(name) for name in self._batches[0]}
        frames = []
        for index in range(len(columns["frame_id"])):
            frame = {name: values[index] for name, values in columns.items()}
            frame |= self._mouths[index] if self._faces is not None else {}
            frames.append({name: value if _is_number(value) else None for name, value in frame.items()})
        return frames

    def _column(self, name: str) -> list[float]:
        """A value of all frames so far."""
        parts = [batch[name] for batch in self._batches]
        return torch.cat(parts).tolist() if self.device.type == "cuda" else [value for part in parts for value in part]

    def _gaps(self) -> tuple[list[float], list[float]]:
        both = [(m["lip_gap_original"], m["lip_gap_rendered"]) for m in self._mouths if m["lmd"] is not None]
        return [a for a, _ in both], [b for _, b in both]

    def _reason(self, name: str, frames: list[dict[str, Any]]) -> str:
        if not frames:
            return "no frame was measured"
        if name == "lmd":
            return "no frame has a detected face in both the original and the rendering"
        if name == "lip_gap_correlation":
            return "fewer than three frames have a face in both images, or the mouth does not move"
        return EMPTY_REGION.get(name, "the renderings hold values that are not finite")

    def _notes(self, frames: list[dict[str, Any]], mean: dict[str, float | None]) -> dict[str, str]:
        notes = {}
        for name in ("psnr_head", "psnr_mouth", "lmd"):
            absent = sum(frame.get(name) is None for frame in frames)
            if absent and mean[name] is not None:
                notes[name] = f"{absent} of {len(frames)} frames left out: nothing to measure there"
        if "lmd" in notes:
            lost = [sum(m[f"lip_gap_{side}"] is None for m in self._mouths) for side in ("original", "rendered")]
            notes["lmd"] += f" (no face found in {lost[0]} originals and {lost[1]} renderings)"
        return notes


@functools.cache
def _warn_once(message: str) -> None:
    """A run measures several sets of frames; once is enough."""
    logger.warning(message)


def _is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
