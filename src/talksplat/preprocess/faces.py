"""One pass over the video: faces, expression coefficients and what tells cuts, blur, light and things in the way."""

from __future__ import annotations

import io
import itertools
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from talksplat.files import write_bytes
from talksplat.media.face_landmarker import NUM_BLENDSHAPES, NUM_LANDMARKS, FaceDetection, FaceLandmarker
from talksplat.preprocess.confidence import NUM_SKIN

THUMBNAIL = 24  # pixels a side
FACE_PIXELS = 128  # size of the face at which sharpness is measured
TONE_PIXELS = 64  # size of the face at which colours are looked at
SECOND_FACE_WIDTH = 0.35  # of the first face's width; smaller faces are pictures and reflections
PART, WARM_UP = 500, 12  # frames looked at in one go, and frames before them that a landmarker needs to settle


@dataclass
class FaceStream:
    """What was seen in each of the F frames of a video at 25 fps. NaN where there is no face."""

    landmarks: Float[np.ndarray, "frame 478 3"]  # pixels of the upright video
    second: Float[np.ndarray, "frame 4"]  # box of a second person's face
    blendshapes: Float[np.ndarray, "frame 51"]
    blendshape_names: np.ndarray
    thumbnails: UInt8[np.ndarray, "frame row column 3"]  # the picture, tiny: shows cuts
    tones: UInt8[np.ndarray, "frame 468 3"]  # colours at the landmarks, a little blurred: show what is in the way
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
        write_bytes(path, buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> FaceStream:
        """Read what `save` wrote."""
        with np.load(path) as content:
            return cls(**{field.name: content[field.name] for field in fields(cls)})

    @classmethod
    def joined(cls, parts: list[FaceStream]) -> FaceStream:
        """Parts of one video, one after the other."""
        once = ("blendshape_names", "size")
        rows = {f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls) if f.name not in once}
        names = next((part.blendshape_names for part in parts if part.found.any()), parts[0].blendshape_names)
        return cls(**rows, blendshape_names=names, size=parts[0].size)


def watch(
    frames: Iterable[UInt8[np.ndarray, "height width 3"]],
    model_path: Path,
    fps: float = 25.0,
    kept: Path | None = None,
    part: int = PART,
) -> FaceStream:
    """Look at every frame once. The person followed is the largest at first, then the nearest to where it was.

    The video is looked at in parts of `part` frames, each by a landmarker of its own that has seen the `WARM_UP` frames
    before. Finished parts lie in the folder `kept` and are taken from there after an interruption, with equal results.

    Raises:
        ValueError: no frames.
    """
    frames = iter(frames)
    parts: list[FaceStream] = []
    before: list[np.ndarray] = []
    previous: np.ndarray | None = None  # box of the face in the newest frame that has one
    while (first := next(frames, None)) is not None:
        batch = itertools.chain([first], itertools.islice(frames, part - 1))
        start = len(parts) * part
        path = None if kept is None else kept / f"part-{start}.npz"
        if path is not None and path.is_file():
            parts.append(FaceStream.load(path))
            before = list(deque(batch, WARM_UP))
        else:
            seen, before = _watch_part(batch, before, start, model_path, fps, previous)
            parts.append(seen)
            if path is not None:
                seen.save(path)
        found = np.flatnonzero(parts[-1].found)
        previous = _box(parts[-1].landmarks[found[-1]]) if len(found) else previous
    if not parts:
        raise ValueError("a video without frames")
    return FaceStream.joined(parts)


def _watch_part(
    frames: Iterator[np.ndarray],
    before: list[np.ndarray],
    start: int,
    model_path: Path,
    fps: float,
    previous: np.ndarray | None,
) -> tuple[FaceStream, list[np.ndarray]]:
    """What is seen in `frames`, of which the first is number `start` of the video, and the last `WARM_UP` of them."""
    rows: dict[str, list] = {field.name: [] for field in fields(FaceStream)}
    newest: deque[np.ndarray] = deque(maxlen=WARM_UP)
    names: list[str] = []
    with FaceLandmarker(model_path) as landmarker:
        for index, frame in enumerate(itertools.chain(before, frames), start - len(before)):
            found = landmarker.detect(frame, round(index * 1000 / fps))
            if index < start:
                continue
            newest.append(frame)
            face = _same_person(found, previous)
            previous = previous if face is None else face.box
            names = names or (sorted(face.blendshapes) if face else [])
            for name, value in _seen(frame, face, [other for other in found if other is not face], names).items():
                rows[name].append(value)
    rows["blendshape_names"], rows["size"] = names, [newest[-1].shape[1], newest[-1].shape[0]]
    types = {"thumbnails": np.uint8, "tones": np.uint8, "blendshape_names": np.str_, "size": np.int64}
    return FaceStream(**{k: np.array(v, types.get(k, np.float32)) for k, v in rows.items()}), list(newest)


def _seen(frame: np.ndarray, face: FaceDetection | None, others: list[FaceDetection], names: list[str]) -> dict:
    """One frame's row of every table of `FaceStream`."""
    sharpness, light = _look(frame, face.box) if face else (np.nan, np.nan)
    return {
        "landmarks": face.landmarks if face else np.full((NUM_LANDMARKS, 3), np.nan, np.float32),
        "second": _second(face, others),
        "blendshapes": [face.blendshapes[name] for name in names] if face else np.full(NUM_BLENDSHAPES, np.nan),
        "thumbnails": cv2.resize(frame, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA),
        "tones": _tones(frame, face.landmarks) if face else np.zeros((NUM_SKIN, 3), np.uint8),
        "sharpness": sharpness,
        "light": light,
    }


def _box(landmarks: Float[np.ndarray, "478 3"]) -> np.ndarray:
    return np.concatenate([landmarks[:, :2].min(0), landmarks[:, :2].max(0)])


def _same_person(found: list[FaceDetection], previous: np.ndarray | None) -> FaceDetection | None:
    if not found or previous is None:
        return found[0] if found else None
    center = (previous[:2] + previous[2:]) / 2
    moves = [float(np.linalg.norm((face.box[:2] + face.box[2:]) / 2 - center)) for face in found]
    nearest = int(np.argmin(moves))
    return found[nearest] if moves[nearest] < 0.5 * (previous[2] - previous[0]) else found[0]


def _second(face: FaceDetection | None, others: list[FaceDetection]) -> np.ndarray:
    for other in others:
        if face and other.box[2] - other.box[0] >= SECOND_FACE_WIDTH * (face.box[2] - face.box[0]):
            return other.box
    return np.full(4, np.nan)


def _inside(frame: np.ndarray, box: np.ndarray) -> tuple[int, int, int, int]:
    """The part of a box that lies in the frame, at least two pixels a side: x0, y0, x1, y1."""
    height, width = frame.shape[:2]
    x0, y0 = np.clip(box[:2].astype(int), 0, (width - 2, height - 2))
    x1, y1 = np.clip(box[2:].astype(int), (x0 + 2, y0 + 2), (width, height))
    return int(x0), int(y0), int(x1), int(y1)


def _tones(frame: np.ndarray, landmarks: Float[np.ndarray, "478 3"]) -> UInt8[np.ndarray, "468 3"]:
    """Colours beneath the landmarks, of the face as if it had about `TONE_PIXELS` a side."""
    box = _box(landmarks)
    x0, y0, x1, y1 = _inside(frame, box)
    width = max(1, int(max(box[2] - box[0], box[3] - box[1]) / TONE_PIXELS))
    face = cv2.blur(np.ascontiguousarray(frame[y0:y1, x0:x1]), (width, width))
    places = (landmarks[None, :NUM_SKIN, :2] - (x0, y0)).astype(np.float32)
    return cv2.remap(face, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0]


def _look(frame: np.ndarray, box: np.ndarray) -> tuple[float, float]:
    """Sharpness and mean grey level of a face."""
    x0, y0, x1, y1 = _inside(frame, box)
    gray = cv2.cvtColor(np.ascontiguousarray(frame[y0:y1, x0:x1]), cv2.COLOR_RGB2GRAY)
    small = cv2.resize(gray, (FACE_PIXELS, FACE_PIXELS), interpolation=cv2.INTER_AREA)
    return float(cv2.Laplacian(small, cv2.CV_32F).var()), float(gray.mean())
