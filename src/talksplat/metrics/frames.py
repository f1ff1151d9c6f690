"""What metrics measure: rendered frames with their originals, and the clip that these are of."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from talksplat.errors import UserError
from talksplat.subject_format.subject import Subject
from talksplat.types import FrameBatch

if TYPE_CHECKING:
    from talksplat.metrics.landmarks import FaceMeasurer, FacePair


@dataclass
class Clip:
    """What a metric may ask for before the first frame.

    Args:
        assets: folder with pretrained weights and the face landmarker; None: TALKSPLAT_ASSETS, caches, downloads.
        device: where images are measured.
        subject: whose frames they are: sound (`root / "aud.wav"`), landmarks, frame numbers; None: unknown.
    """

    assets: Path | None = None
    device: torch.device = torch.device("cpu")
    subject: Subject | None = None
    _faces: FaceMeasurer | UserError | ImportError | None = field(default=None, init=False)

    def faces(self) -> FaceMeasurer:
        """The face landmarker, one for all metrics. Raises UserError or ImportError, each time the same, where there is none."""
        if self._faces is None:
            from talksplat.metrics.landmarks import FaceMeasurer  # which imports this module

            try:
                self._faces = FaceMeasurer(self.assets)
            except (UserError, ImportError) as error:
                self._faces = error
        if isinstance(self._faces, Exception):
            raise self._faces
        return self._faces

    def close(self) -> None:
        """Let the face landmarker go; a later call opens it anew."""
        if self._faces is not None and not isinstance(self._faces, Exception):
            self._faces.close()


class MeasuredFrames:
    """B rendered frames and what they are compared with, on the device of the measurement. What several metrics need is made
    once.

    Args:
        rendered: float [B, H, W, 3] in [0, 1].
        batch: the frames of the clip.
        clip: gives the face landmarker.
    """

    def __init__(self, rendered: Float[Tensor, "frame height width 3"], batch: FrameBatch, clip: Clip) -> None:
        self.rendered, self.batch, self._clip = rendered, batch, clip

    def __len__(self) -> int:
        return len(self.rendered)

    @cached_property
    def original(self) -> Float[Tensor, "frame height width 3"]:
        """The video's own frames in [0, 1]."""
        return self.batch.original

    @cached_property
    def target(self) -> Float[Tensor, "frame height width 3"]:
        """What training compares with, see `FrameBatch.target`."""
        return self.batch.target

    @cached_property
    def rendered_u8(self) -> Tensor:
        """The renderings as uint8 [B, H, W, 3] on the CPU: on a GPU, asking for them waits."""
        return (self.rendered * 255).round().to(torch.uint8).cpu()

    @cached_property
    def faces(self) -> list[FacePair]:
        """Landmarks [68, 2] in pixels of each original and rendering, None where no face is found: one pass for all metrics
        that have called `clip.faces()` in `prepare`."""
        find, originals = self._clip.faces(), self.batch.original_u8.cpu().numpy()
        return [find(original, image) for original, image in zip(originals, self.rendered_u8.numpy())]
