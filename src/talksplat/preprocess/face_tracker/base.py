"""What a face tracker takes and gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int

from talksplat.preprocess.face_tracker.face_regions import rigid_mask


@dataclass
class HeadTrack:
    """Head poses of F frames of one video, one camera and one mesh of the subject."""

    frame_ids: Int[np.ndarray, " frame"]  # numbers in the video, rising, gaps where no face was found
    viewmats: Float[np.ndarray, "frame 4 4"]  # head (dm) to camera, OpenCV axes
    focal: float  # pixels
    mesh: Float[np.ndarray, "vertex 3"]  # dm, head frame: x image-right, y up, z out of the face
    rigid_error: Float[np.ndarray, " frame"]  # mean reprojection distance of skull landmarks, pixels
    full_error: Float[np.ndarray, " frame"]  # the same of all landmarks
    rigid: Bool[np.ndarray, " vertex"] | None = None  # landmarks that move with the skull; None: by place alone

    @property
    def skull(self) -> Bool[np.ndarray, " vertex"]:
        """Landmarks that move with the skull."""
        return rigid_mask(self.mesh) if self.rigid is None else self.rigid


@runtime_checkable
class FaceTracker(Protocol):
    """Finds head poses from face landmarks."""

    def __call__(
        self,
        frame_ids: Int[np.ndarray, " frame"],
        landmarks: Float[np.ndarray, "frame 478 3"],
        width: int,
        height: int,
    ) -> HeadTrack:
        """Poses of frames whose landmarks are in pixels (z in pixels too, smaller is nearer).

        Raises:
            UserError: the poses do not explain the landmarks.
        """
        ...
