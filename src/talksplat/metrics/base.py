"""Metrics as plug-ins: a class here, and a line under `evaluation.metrics` (`conf/metric`) that names it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from torch import Tensor

from talksplat.metrics.frames import Clip, MeasuredFrames

ORIGINAL = "rendering against the video's own frame"
MEAN = "per frame, then the mean over frames"
Values = Tensor | Sequence[float | None]  # one for each frame; NaN and None: nothing to measure there


class Metric(ABC):
    """One number of a rendered clip. Derive from `FrameMetric` or `ClipMetric`.

    Attributes:
        name: key in `metrics.json` and under `evaluation.metrics`, from where it is set.
        title: of its column in a comparison.
        unit: of its values; empty for pure numbers.
        direction: which values are better.
        digits: after the decimal point in a table.
        definition: what is measured, in words; runs whose definitions differ are not compared.
        absent: why there is no value although frames were measured.
        absent_frame: why single frames have no value.
        on_training_frames: False for what is too slow for frames that are not reported.
    """

    name: str = ""
    title: str
    unit: str = ""
    direction: Literal["higher", "lower", "neither"] = "neither"
    digits: int = 3
    definition: str
    absent: str = "the renderings hold values that are not finite"
    absent_frame: str = "the rendering holds values that are not finite"
    on_training_frames: ClassVar[bool] = True

    def prepare(self, clip: Clip) -> str | None:
        """Load what measuring needs, before the first frame.

        Returns:
            why the metric does not apply to this clip or is switched off; None: it is measured.

        Raises:
            UserError: something that it needs is missing here; says what.
        """
        return None

    def describe(self) -> dict[str, Any]:
        """What a table needs, for `metrics.json`."""
        return {name: getattr(self, name) for name in ("title", "unit", "direction", "digits")}

    def note(self, frames: Sequence[Mapping[str, Any]]) -> str | None:
        """What to know about the value, given the entry of each frame in `metrics.json`."""
        return None


class FrameMetric(Metric):
    """A metric with a value for each frame; the clip has their mean."""

    @abstractmethod
    def __call__(self, frames: MeasuredFrames) -> Values:
        """One value for each of B frames. A tensor stays on its device until all frames are measured."""

    def note(self, frames: Sequence[Mapping[str, Any]]) -> str | None:
        absent = sum(frame.get(self.name) is None for frame in frames)
        return f"{absent} of {len(frames)} frames left out: {self.absent_frame}" if absent else None


class ClipMetric(Metric):
    """A metric of all frames together, such as a correlation over time."""

    @abstractmethod
    def series(self, frames: MeasuredFrames) -> dict[str, Values]:
        """What it needs of B frames, under names that `metrics.json` has them under in each frame."""

    @abstractmethod
    def summary(self, series: Mapping[str, Sequence[float | None]]) -> float | None:
        """The value of the clip, from these series over all frames and "frame_id"; None: it has none (`absent` says why)."""
