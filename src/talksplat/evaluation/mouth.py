"""Mouth opening of rendered frames of the embedded sample against the truth."""

from __future__ import annotations

from typing import Any

import numpy as np
from omegaconf import DictConfig
from torch import Tensor

from talksplat.data.datamodule import PortraitDataModule
from talksplat.metrics.mouth_opening import DEFINITION, mouth_opening_correlation


def add_mouth_correlation(
    result: dict[str, Any], config: DictConfig, data: PortraitDataModule, positions: Any, images: list[Tensor]
) -> None:
    """Add "mouth_correlation" to a suite's results where the subject is the embedded sample.

    Args:
        result: what `MetricSuite.compute` returned; changed in place.
        positions: positions of the frames in the subject.
        images: rendered frames, uint8 [H, W, 3].
    """
    truth = data.subject.true_signals.get("mouth_opening")
    if config.dataset.sample is None or truth is None:
        return
    from talksplat.data.sample import SampleSubject

    sample = SampleSubject(config.dataset.sample.resolution, config.dataset.sample.seed)
    positions = np.asarray(positions)
    value, reason = mouth_opening_correlation(
        [image.numpy() for image in images],
        np.asarray(data.subject.viewmats)[positions],
        np.asarray(truth)[positions],
        sample.estimate_opening,
    )
    result["mean"]["mouth_correlation"] = value
    result["definitions"]["mouth_correlation"] = DEFINITION
    if reason is not None:
        result["reasons"]["mouth_correlation"] = reason
