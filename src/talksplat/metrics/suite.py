"""All metrics of a rendered clip, per frame and on average."""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from talksplat.errors import UserError
from talksplat.metrics.base import ClipMetric, Metric, Values
from talksplat.metrics.frames import Clip, MeasuredFrames
from talksplat.types import FrameBatch

logger = logging.getLogger(__name__)


class MetricSuite:
    """Compares renderings with the frames of a clip.

    A metric that cannot be computed here is None, with its reason; nothing stands in for it.

    Args:
        metrics: by their names.
        clip: whose frames are measured, and where.
    """

    def __init__(self, metrics: Mapping[str, Metric], clip: Clip) -> None:
        self.metrics, self.clip = dict(metrics), clip
        self._switched_off: dict[str, str] = {}
        self._missing: dict[str, str] = {}
        for name, metric in self.metrics.items():
            metric.name = name
            try:
                reason = metric.prepare(clip)
                if reason is not None:
                    self._switched_off[name] = reason
            except (UserError, ImportError) as error:
                self._missing[name] = str(error)
        for reason in dict.fromkeys(self._missing.values()):
            names = [name for name, why in self._missing.items() if why == reason]
            _warn_once(f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} not measured: {reason}")
        unavailable = self._switched_off | self._missing
        self._measured = {name: metric for name, metric in self.metrics.items() if name not in unavailable}
        self._batches: list[dict[str, Values]] = []

    @torch.no_grad()
    def update(self, rendered: Tensor, batch: FrameBatch) -> None:
        """Measure B frames; rendered float [B, H, W, 3] in [0, 1]."""
        device = self.clip.device
        batch, rendered = batch.to(device), rendered.to(device).clamp(0, 1)
        if rendered.shape != batch.original_u8.shape:
            raise ValueError(f"renderings {tuple(rendered.shape)} for frames {tuple(batch.original_u8.shape)}")
        frames = MeasuredFrames(rendered, batch, self.clip)
        values: dict[str, Values] = {"frame_id": batch.frame_ids}
        for name, metric in self._measured.items():
            found = metric.series(frames) if isinstance(metric, ClipMetric) else {name: metric(frames)}
            for value in found.values():
                _check_length(name, value, len(frames))
            values |= found
        # On a GPU they stay there, so that nothing waits. On a CPU small tensors kept between large ones that come and go
        # would pin the heap: 5 MB a frame.
        on_gpu = device.type == "cuda"
        self._batches.append({name: value if on_gpu else _to_list(value) for name, value in values.items()})

    def compute(self) -> dict[str, Any]:
        """The results so far, ready for JSON.

        Returns:
            "metrics": {name: title, unit, direction and digits}, of those that are not switched off; "definitions": {name:
            text}; "mean": {name: value or None}; "reasons": {name: why it is None}; "notes": {name: what to know about the
            value}; "frames": [{"frame_id": number, name: value or None}].
        """
        self.clip.close()
        frames = self._frames()
        mean = {name: self._mean(name, frames) for name in self.metrics}
        reasons = self._switched_off | self._missing
        for name, metric in self._measured.items():
            if mean[name] is None:
                reasons[name] = metric.absent if frames else "no frame was measured"
        notes = {name: metric.note(frames) for name, metric in self._measured.items() if mean[name] is not None}
        described = {name: metric for name, metric in self.metrics.items() if name not in self._switched_off}
        return {
            "metrics": {name: metric.describe() for name, metric in described.items()},
            "definitions": {name: metric.definition for name, metric in self.metrics.items()},
            "mean": mean,
            "reasons": {name: reasons[name] for name in self.metrics if name in reasons},
            "notes": {name: note for name, note in notes.items() if note},
            "frames": frames,
        }

    def _mean(self, name: str, frames: list[dict[str, Any]]) -> float | None:
        metric = self._measured.get(name)
        if metric is None or not frames:
            return None
        if isinstance(metric, ClipMetric):
            value = metric.summary({key: [frame[key] for frame in frames] for key in frames[0]})
            return value if _is_number(value) else None
        values = [frame[name] for frame in frames if frame[name] is not None]
        return sum(values) / len(values) if values else None

    def _frames(self) -> list[dict[str, Any]]:
        """What each frame has so far; of a GPU's values one copy for each name."""
        if not self._batches:
            return []
        columns = {}
        for name in self._batches[0]:
            parts = [batch[name] for batch in self._batches]
            tensors = isinstance(parts[0], Tensor)
            columns[name] = torch.cat(parts).tolist() if tensors else [value for part in parts for value in part]
        rows = zip(*columns.values())
        return [{name: v if _is_number(v) else None for name, v in zip(columns, row)} for row in rows]


def _check_length(name: str, values: Values, count: int) -> None:
    found = list(values.shape) if isinstance(values, Tensor) else [len(values)]
    if found != [count]:
        raise UserError(
            f"evaluation.metrics.{name} gave values of shape {found} for {count} frames: give one per frame"
        )


def _to_list(values: Values) -> list[float | None]:
    return values.tolist() if isinstance(values, Tensor) else list(values)


@functools.cache
def _warn_once(message: str) -> None:
    """A run measures several sets of frames; once is enough."""
    logger.warning(message)


def _is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
