"""A metric of one's own: this file, and one line of configuration."""

from __future__ import annotations

from torch import Tensor

from talksplat.metrics import FrameMetric, MeasuredFrames


class Redness(FrameMetric):
    """How red the rendering is."""

    title, unit, direction, digits = "redness (%)", "%", "lower", 1
    definition = "mean of the red channel in percent"

    def __call__(self, frames: MeasuredFrames) -> Tensor:
        return 100 * frames.rendered[..., 0].mean(dim=(1, 2))
