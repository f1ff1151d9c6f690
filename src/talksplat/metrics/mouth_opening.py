"""How well the mouth of the rendering opens and shuts with the true one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from talksplat.metrics.base import ClipMetric
from talksplat.metrics.frames import Clip, MeasuredFrames

MIN_FRAMES = 3


class MouthCorrelation(ClipMetric):
    """Correlation with the true mouth opening of the embedded sample."""

    title, direction = "mouth correlation", "higher"
    definition = (
        "Pearson correlation over frames of the mouth opening measured in the renderings with the true one; measured by "
        "comparison with re-renderings of the sample at the same head pose"
    )
    absent = f"the mouth does not move in these frames, or they are fewer than {MIN_FRAMES}"
    on_training_frames: ClassVar[bool] = False

    def prepare(self, clip: Clip) -> str | None:
        subject = clip.subject
        known = subject is not None and "generator_version" in subject.manifest
        if not known or "mouth_opening" not in subject.true_signals:
            return "the true mouth opening is known for the embedded sample only"
        from talksplat.data.sample import SampleSubject

        self.sample = SampleSubject(subject.manifest["resolution"], subject.manifest["seed"])
        self.truth = dict(zip(subject.frame_ids.tolist(), subject.true_signals["mouth_opening"].tolist()))
        return None

    def series(self, frames: MeasuredFrames) -> dict[str, list[float]]:
        viewmats = frames.batch.conditions.viewmats.cpu().numpy()
        images = frames.rendered_u8.numpy()
        return {"mouth_opening": [float(self.sample.estimate_opening(*pair)) for pair in zip(images, viewmats)]}

    def summary(self, series: Mapping[str, Sequence[float | None]]) -> float | None:
        return pearson(series["mouth_opening"], [self.truth[frame_id] for frame_id in series["frame_id"]])


def pearson(a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray) -> float | None:
    """Correlation coefficient; None for fewer than three values or where one side does not vary."""
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if len(x) < MIN_FRAMES:
        return None
    x, y = x - x.mean(), y - y.mean()
    scale = np.linalg.norm(x) * np.linalg.norm(y)
    return float(x @ y / scale) if scale > 1e-12 else None
