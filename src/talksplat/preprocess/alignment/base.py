"""What an alignment takes and gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float

from talksplat.preprocess.face_tracker.base import HeadTrack
from talksplat.preprocess.segmentation.base import ClipImages


@dataclass
class Aligned:
    """A refined track, start points moved onto the refined surface (dm), and what to say about it."""

    track: HeadTrack
    points: Float[np.ndarray, "point 3"]
    summary: dict


@runtime_checkable
class Alignment(Protocol):
    """Refines the poses of a clip."""

    def __call__(
        self,
        clip: ClipImages,
        head: Callable[[int], Bool[np.ndarray, "height width"]],
        points: Float[np.ndarray, "point 3"],
        progress: Callable[[Iterable, str], Iterable],
        workers: int = 1,
    ) -> Aligned:
        """Refine the track of `clip`.

        Args:
            head: mask of the head in the frame at a position of the track.
            points: on face, hair and scalp, dm.
            progress: wraps an iterable of long work; takes it and a name.
            workers: threads.
        """
        ...


class NoAlignment:
    """Leaves everything as the face tracker found it."""

    def __call__(self, clip, head, points, progress, workers=1) -> Aligned:
        """See `Alignment`."""
        return Aligned(clip.track, points, {})
