"""The best segmenter that can run here."""

from __future__ import annotations

import logging
from pathlib import Path

from talksplat.preprocess.assets import find_multiclass_segmenter
from talksplat.preprocess.segmentation.base import Segmenter

logger = logging.getLogger(__name__)


def best_segmenter(mediapipe: Segmenter, color_models: Segmenter, assets: str | None = None) -> Segmenter:
    """`mediapipe` where its model lies in `assets`, TALKSPLAT_ASSETS or the user's cache; otherwise `color_models`.

    Nothing is downloaded. Raises UserError if a file of the model's name is another file.
    """
    path = find_multiclass_segmenter(None if assets is None else Path(assets))
    if path is None:
        logger.info("segmentation: colour models of the clip (no selfie_multiclass_256x256.tflite in the assets)")
        return color_models
    logger.info("segmentation: %s", path)
    return mediapipe
