"""The best segmenter that can be had here."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from talksplat.errors import UserError
from talksplat.media.assets import find_multiclass_segmenter, multiclass_segmenter_path
from talksplat.preprocess.segmentation.base import Segmenter

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BestSegmenter:
    """A choice that is made when work begins: `mediapipe` where its model is, or can be downloaded; otherwise `color_models`."""

    mediapipe: Segmenter
    color_models: Segmenter
    assets: str | None = None  # folder looked in first, then TALKSPLAT_ASSETS and the user's cache

    def ready(self) -> Segmenter:
        """The segmenter to use; a line says what is lost without the model. Raises UserError if a file of the model's name is
        another file."""
        assets = None if self.assets is None else Path(self.assets)
        if find_multiclass_segmenter(assets) is None:
            try:
                multiclass_segmenter_path(assets)
            except UserError as error:
                logger.warning(
                    "masks by colour models of the clip, which mistake more where hair, clothes and background look alike: %s",
                    error,
                )
                return self.color_models
        return self.mediapipe
