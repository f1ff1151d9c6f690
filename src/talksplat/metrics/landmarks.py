"""Mouth landmarks of renderings against those of the originals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from talksplat.media.assets import face_landmarker_path
from talksplat.media.face_landmarker import FaceLandmarker
from talksplat.metrics.base import MEAN, ORIGINAL, ClipMetric, FrameMetric
from talksplat.metrics.frames import Clip, MeasuredFrames
from talksplat.metrics.mouth_opening import pearson

MOUTH = slice(48, 68)  # of the 68 points, outer and inner lip
UPPER_LIP, LOWER_LIP = 62, 66  # middle of the inner lip
EYE_CORNERS = (36, 45)  # the outer ones
FacePair = tuple[np.ndarray | None, np.ndarray | None]  # landmarks [68, 2] in an original and in its rendering


class LMD(FrameMetric):
    """Distance of mouth landmarks."""

    title, unit, direction = "LMD (px)", "px", "lower"
    definition = (
        f"mouth landmarks 48-67 by MediaPipe, {ORIGINAL}: each set centred on its mean, mean Euclidean distance in pixels; "
        f"{MEAN} where a face is found in both"
    )
    absent = "no frame has a detected face in both the original and the rendering"
    absent_frame = "nothing to measure there"

    def __init__(self) -> None:
        self.lost = [0, 0]  # originals and renderings without a face

    def prepare(self, clip: Clip) -> None:
        clip.faces()

    def __call__(self, frames: MeasuredFrames) -> list[float | None]:
        for side in (0, 1):
            self.lost[side] += sum(pair[side] is None for pair in frames.faces)
        return [landmark_distance(*pair) if _both(pair) else None for pair in frames.faces]

    def note(self, frames: Sequence[Mapping[str, Any]]) -> str | None:
        note = super().note(frames)
        return note and f"{note} (no face found in {self.lost[0]} originals and {self.lost[1]} renderings)"


class LipGapCorrelation(ClipMetric):
    """How well the lips of the renderings open and shut with those of the video."""

    title, direction = "lip-gap correlation", "higher"
    definition = (
        "Pearson correlation over frames of the inner-lip gap (MediaPipe, in units of the outer eye distance) in the "
        "renderings with that in the video's own frames"
    )
    absent = "fewer than three frames have a face in both images, or the mouth does not move"

    def prepare(self, clip: Clip) -> None:
        clip.faces()

    def series(self, frames: MeasuredFrames) -> dict[str, list[float | None]]:
        originals, renderings = zip(*frames.faces)
        return {"lip_gap_original": _gaps(originals), "lip_gap_rendered": _gaps(renderings)}

    def summary(self, series: Mapping[str, Sequence[float | None]]) -> float | None:
        pairs = [pair for pair in zip(series["lip_gap_original"], series["lip_gap_rendered"]) if _both(pair)]
        return pearson([first for first, _ in pairs], [second for _, second in pairs])


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
    ) -> FacePair:
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


def _gaps(found: Sequence[np.ndarray | None]) -> list[float | None]:
    return [None if points is None else lip_gap(points) for points in found]


def _both(pair: tuple[object | None, object | None]) -> bool:
    return pair[0] is not None and pair[1] is not None
