"""Statistics of a subject, which an avatar is initialised with."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, Int, UInt8
from torch import Tensor

from talksplat.types import TensorBundle


@dataclass
class SubjectStatistics(TensorBundle):
    """Start points, and data from which parts of the model are normalised or positioned."""

    vertices: Float[Tensor, "point 3"]  # start points, dm
    viewmats: Float[Tensor, "frame 4 4"]  # of the training frames only
    vertex_colors: UInt8[Tensor, "point 3"] | None = None  # None: grey
    audio: Float[Tensor, "frame window feature"] | None = None  # of the training frames; None: not standardised
    frames: Int[Tensor, " frame"] | None = None  # numbers of the training frames; None: 0, 1, 2...
    lip_measures: Float[Tensor, "frame 43"] | None = None  # of the training frames (lips.measures)
    audio_fingerprint: Float[Tensor, " size"] | None = None  # of these features; None: not in the folder
    mouth: Float[Tensor, 3] | None = None  # middle of the lips, dm; None: unknown
    name: str = "subject"
