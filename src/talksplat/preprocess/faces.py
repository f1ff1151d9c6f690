"""One pass over the video: faces, expression coefficients and what tells cuts, blur and light."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from talksplat.preprocess.cache import write_atomic
from talksplat.preprocess.landmarks import NUM_LANDMARKS, FaceDetection, FaceLandmarker

THUMBNAIL = 24  # pixels a side
FACE_PIXELS = 128  # size of the face at which sharpness is measured
SECOND_FACE_WIDTH = 0.35  # of the first face's width; smaller faces are pictures and reflections


@dataclass
class FaceStream:
    """What was seen in each of the F frames of a video at 25 fps. NaN where there is no face."""

    landmarks: Float[np.ndarray, "frame 478 3"]  # pixels of the upright video
    second: Float[np.ndarray, "frame 4"]  # box of a second person's face
    blendshapes: Float[np.ndarray, "frame 51"]
    blendshape_names: np.ndarray
    thumbnails: UInt8[np.ndarray, "frame row column 3"]  # the picture, tiny: shows cuts
    sharpness: Float[np.ndarray, " frame"]  # variance of the Laplacian of the face scaled to 128 pixels
    light: Float[np.ndarray, " frame"]  # mean grey level of the face
    size: np.ndarray  # width and height of the video

    @property
    def found(self) -> np.ndarray:
        """Frames with a face, bool [F]."""
        return np.isfinite(self.landmarks[:, 0, 0])

    def save(self, path: Path) -> None:
        """Store as `.npz`."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **{field.name: getattr(self, field.name) for field in fields(self)})
        write_atomic(path, buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> FaceStream:
        """Read what `save` wrote."""
        with np.load(path) as content:
            return cls(**{field.name: content[field.name] for field in fields(cls)})


def watch(frames: Iterable[UInt8[np.ndarray, "height width 3"]], model_path: Path, fps: float = 25.0) -> FaceStream:
    """Look at every frame once. The person followed is the largest at first, then the nearest to where it was."""
    rows: dict[str, list] = {"landmarks": [], "second": [], "shapes": [], "thumbnail": [], "sharpness": [], "light": []}
    names: list[str] = []
    previous: FaceDetection | None = None
    size = (0, 0)
    with FaceLandmarker(model_path) as landmarker:
        for index, frame in enumerate(frames):
            size = (frame.shape[1], frame.shape[0])
            found = landmarker.detect(frame, round(index * 1000 / fps))
            face = _same_person(found, previous)
            previous = face or previous
            others = [other for other in found if other is not face]
            rows["thumbnail"].append(cv2.resize(frame, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA))
            rows["landmarks"].append(face.landmarks if face else np.full((NUM_LANDMARKS, 3), np.nan))
            rows["second"].append(_second(face, others))
            if face:
                names = names or sorted(face.blendshapes)
            rows["shapes"].append([face.blendshapes[name] for name in names] if face else [])
            sharpness, light = _look(frame, face.box) if face else (np.nan, np.nan)
            rows["sharpness"].append(sharpness)
            rows["light"].append(light)
    shapes = np.array([row if len(row) else [np.nan] * len(names) for row in rows["shapes"]], np.float32)
    return FaceStream(
        landmarks=np.array(rows["landmarks"], np.float32),
        second=np.array(rows["second"], np.float32),
        blendshapes=shapes,
        blendshape_names=np.array(names, dtype=np.str_),
        thumbnails=np.array(rows["thumbnail"], np.uint8),
        sharpness=np.array(rows["sharpness"], np.float32),
        light=np.array(rows["light"], np.float32),
        size=np.array(size),
    )


def _center(face: FaceDetection) -> np.ndarray:
    return (face.box[:2] + face.box[2:]) / 2


def _same_person(found: list[FaceDetection], previous: FaceDetection | None) -> FaceDetection | None:
    if not found or previous is None:
        return found[0] if found else None
    nearest = min(found, key=lambda face: np.linalg.norm(_center(face) - _center(previous)))
    moved = np.linalg.norm(_center(nearest) - _center(previous))
    return nearest if moved < 0.5 * (previous.box[2] - previous.box[0]) else found[0]


def _second(face: FaceDetection | None, others: list[FaceDetection]) -> np.ndarray:
    for other in others:
        if face and other.box[2] - other.box[0] >= SECOND_FACE_WIDTH * (face.box[2] - face.box[0]):
            return other.box
    return np.full(4, np.nan)


def _look(frame: np.ndarray, box: np.ndarray) -> tuple[float, float]:
    """Sharpness and mean grey level of a face."""
    height, width = frame.shape[:2]
    x0, y0 = np.clip(box[:2].astype(int), 0, (width - 2, height - 2))
    x1, y1 = np.clip(box[2:].astype(int), (x0 + 2, y0 + 2), (width, height))
    gray = cv2.cvtColor(np.ascontiguousarray(frame[y0:y1, x0:x1]), cv2.COLOR_RGB2GRAY)
    small = cv2.resize(gray, (FACE_PIXELS, FACE_PIXELS), interpolation=cv2.INTER_AREA)
    return float(cv2.Laplacian(small, cv2.CV_32F).var()), float(gray.mean())
