"""Mouth landmarks of renderings against those of the originals."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from talksplat.media.assets import face_landmarker_path
from talksplat.media.face_landmarker import FaceLandmarker

MOUTH = slice(48, 68)  # of the 68 points, outer and inner lip
UPPER_LIP, LOWER_LIP = 62, 66  # middle of the inner lip
EYE_CORNERS = (36, 45)  # the outer ones


class FaceMeasurer:
    """Finds the 68 landmarks in originals and renderings, as two videos that are followed separately.

    Args:
        assets: folder with `face_landmarker.task`; None: TALKSPLAT_ASSETS, the user's cache, or a download.

    Raises:
        UserError: the face landmarker's model cannot be had, or mediapipe does not work here.
    """

    def __init__(self, assets: Path | None) -> None:
        self._model = face_landmarker_path(assets)
        self._open = ExitStack()
        self._followers: list[FaceLandmarker] = []
        self._frames = 0
        self._start()

    def __call__(
        self, original: UInt8[np.ndarray, "height width 3"], rendered: UInt8[np.ndarray, "height width 3"]
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Landmarks [68, 2] in pixels of the largest face in either image; None where none is found."""
        if not self._followers:
            self._start()
        self._frames += 1
        found = [
            follower.detect(image, 40 * self._frames) for follower, image in zip(self._followers, (original, rendered))
        ]
        first, second = (faces[0].landmarks68 if faces else None for faces in found)
        return first, second

    def close(self) -> None:
        """Let the models go; a later call opens them anew."""
        self._open.close()
        self._followers = []

    def _start(self) -> None:
        self._followers = [self._open.enter_context(FaceLandmarker(self._model)) for _ in range(2)]


def landmark_distance(a: Float[np.ndarray, "68 2"], b: Float[np.ndarray, "68 2"]) -> float:
    """LMD: mean Euclidean distance of the 20 mouth points in pixels, each set centred on its mean."""
    a, b = a[MOUTH] - a[MOUTH].mean(0), b[MOUTH] - b[MOUTH].mean(0)
    return float(np.linalg.norm(a - b, axis=1).mean())


def lip_gap(points: Float[np.ndarray, "68 2"]) -> float:
    """Distance of upper and lower inner lip, in units of the distance between the outer corners of the eyes."""
    width = np.linalg.norm(points[EYE_CORNERS[0]] - points[EYE_CORNERS[1]])
    return float(np.linalg.norm(points[UPPER_LIP] - points[LOWER_LIP]) / width)
