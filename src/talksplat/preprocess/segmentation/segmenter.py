"""Labels of every frame from colour models that are learned from the clip itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from jaxtyping import Bool, Float

from talksplat.errors import UserError
from talksplat.preprocess.segmentation.base import ClipImages
from talksplat.preprocess.segmentation.color_models import ColorModels, learn
from talksplat.preprocess.segmentation.filtered import FilteredSegmenter
from talksplat.preprocess.segmentation.keyframes import View, view_of

LEARNING_SIZE = 128  # longer side of the keyframes


class ColorModelSegmenter(FilteredSegmenter):
    """A `Segmenter` without trained weights: colour and place models of one clip.

    Args:
        keyframes: frames, evenly spread, that the models are learned from.
        size, edge_radius, edge_epsilon, smallest_part, neighbours: see `FilteredSegmenter`.
    """

    title = "colour models learned from the clip"

    def __init__(
        self,
        keyframes: int = 24,
        size: int = 256,
        edge_radius: int = 6,
        edge_epsilon: float = 60.0,
        smallest_part: float = 0.0005,
        neighbours: int = 2,
    ) -> None:
        super().__init__(size, edge_radius, edge_epsilon, smallest_part, neighbours)
        if keyframes < 2:
            raise UserError(f"segmentation needs keyframes >= 2, not {keyframes}")
        self.keyframes = keyframes
        self._models: ColorModels | None = None

    def _fit(self, clip: ClipImages, progress: Callable[[Iterable], Iterable]) -> None:
        self._models = learn([view_of(clip, k, LEARNING_SIZE) for k in progress(self._positions(clip))])

    def _positions(self, clip: ClipImages) -> list[int]:
        return np.unique(np.linspace(0, len(clip) - 1, self.keyframes).round().astype(int)).tolist()

    def _score(self, view: View) -> Float[np.ndarray, "height width label"]:
        if self._models is None:
            raise RuntimeError("call fit first")
        return self._models.scores(view)

    def _may_be_hair(self, view: View, where: Bool[np.ndarray, "height width"]) -> Bool[np.ndarray, "height width"]:
        return self._models.hair.may_be_hair(view, where)
