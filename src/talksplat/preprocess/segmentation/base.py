"""What a segmenter takes and gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8

from talksplat.preprocess.face_tracker.base import HeadTrack


@dataclass
class ClipImages:
    """Frames of one clip by position in the track, with what is known about each."""

    load: Callable[[int], UInt8[np.ndarray, "height width 3"]]  # position in the track -> RGB
    track: HeadTrack
    landmarks: Float[np.ndarray, "frame 478 2"]  # detected, pixels
    width: int
    height: int

    def __len__(self) -> int:
        return len(self.track.frame_ids)


@runtime_checkable
class Segmenter(Protocol):
    """Learns from some frames of a clip, then labels any of its frames."""

    title: str  # in the report

    def ready(self) -> Segmenter:
        """Get the weights it needs, before work starts; returns the segmenter to use. Raises UserError if they cannot be had."""
        ...

    def fit(self, clip: ClipImages, progress: Callable[[Sequence], Sequence] = iter) -> None:
        """Look at keyframes; must be called before `__call__`."""
        ...

    def __call__(self, clip: ClipImages, position: int) -> UInt8[np.ndarray, "height width"]:
        """`Label` values of a frame. Independent of other calls, safe to call from several threads."""
        ...
