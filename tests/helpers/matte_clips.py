"""Real clips as segmenters take them: the few frames of each that have a reference matte."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from talksplat.media.assets import face_landmarker_path
from talksplat.media.face_landmarker import FaceLandmarker
from talksplat.media.video import read_frames
from talksplat.preprocess.face_tracker.mediapipe import MediapipeTracker
from talksplat.preprocess.segmentation.base import ClipImages


def matte_clip(video: Path, mattes: Path) -> tuple[ClipImages, list[np.ndarray]]:
    """Frames of a square video and their mattes, bool [H, W] each."""
    numbers = sorted(int(path.stem) for path in mattes.glob("*.png"))
    wanted = set(numbers)
    frames = [frame for k, frame in zip(range(numbers[-1] + 1), read_frames(video, 25)) if k in wanted]
    with FaceLandmarker(face_landmarker_path(None), video=False) as landmarker:
        landmarks = np.stack([landmarker.detect(frame)[0].landmarks for frame in frames])
    height, width = frames[0].shape[:2]
    track = MediapipeTracker()(np.array(numbers), landmarks, width, height)
    persons = [cv2.imread(str(mattes / f"{number}.png"), cv2.IMREAD_GRAYSCALE) > 127 for number in numbers]
    return ClipImages(frames.__getitem__, track, landmarks[..., :2], width, height), persons


def changed(clip: ClipImages, change: Callable[[np.ndarray, int], np.ndarray]) -> ClipImages:
    """The clip with other pictures: `change(image, position)`."""
    return replace(clip, load=lambda position: change(clip.load(position), position))


def over(backdrop: np.ndarray, persons: list[np.ndarray]) -> Callable[[np.ndarray, int], np.ndarray]:
    """Persons cut out, with soft edges, before another backdrop; for `changed`."""

    def composite(image: np.ndarray, position: int) -> np.ndarray:
        alpha = cv2.GaussianBlur(persons[position].astype(np.float32), (0, 0), 1.0)[..., None]
        return np.round(image * alpha + backdrop * (1 - alpha)).astype(np.uint8)

    return composite


def likeness(labels: np.ndarray, person: np.ndarray) -> float:
    """Intersection over union of all that is not background."""
    found = labels > 0
    return float((found & person).sum() / (found | person).sum())
