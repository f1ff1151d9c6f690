"""Face landmarks and expression coefficients of video frames, by MediaPipe's FaceLandmarker."""

from __future__ import annotations

import os
import signal
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from talksplat.errors import UserError
from talksplat.system_errors import missing_library

NUM_LANDMARKS = 478
NUM_BLENDSHAPES = 51  # the model also gives "_neutral", which is left out, and has no tongue

# The 68 points of dlib's annotation among the 478 of MediaPipe, in dlib's order: jaw 0-16, brows 17-26, nose 27-35,
# eyes 36-47, outer lip 48-59, inner lip 60-67. Chosen by hand for nearest meaning.
DLIB68: tuple[int, ...] = (
    *(162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389),
    *(71, 63, 105, 66, 107, 336, 296, 334, 293, 301),
    *(168, 197, 5, 4, 75, 97, 2, 326, 305),
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181),
    *(78, 82, 13, 312, 308, 317, 14, 87),
)


@dataclass
class FaceDetection:
    """One face in one image."""

    landmarks: np.ndarray  # float32 [478, 3]: x right, y down in pixels; z in pixels, smaller is nearer to the viewer
    blendshapes: dict[str, float]  # 51 ARKit-like coefficients in [0, 1], by name
    matrix: np.ndarray  # float32 [4, 4] face to camera: OpenGL axes, centimetres, 63 degrees vertical field of view

    @property
    def landmarks68(self) -> np.ndarray:
        """The dlib subset, float32 [68, 2] in pixels."""
        return self.landmarks[list(DLIB68), :2]

    @property
    def box(self) -> np.ndarray:
        """Tight box of the landmarks: x0, y0, x1, y1 in pixels."""
        return np.concatenate([self.landmarks[:, :2].min(0), self.landmarks[:, :2].max(0)])


class FaceLandmarker:
    """Finds faces in the frames of one video, or in single images; a context manager.

    Args:
        model_path: the `face_landmarker.task` file (see `assets.face_landmarker_path`).
        video: follow faces from frame to frame (steadier, needs growing timestamps), or treat each image on its own.
        num_faces: most faces looked for.
        min_confidence: detection and presence threshold in [0, 1].
    """

    def __init__(self, model_path: Path, video: bool = True, num_faces: int = 2, min_confidence: float = 0.5) -> None:
        self.model_path = Path(model_path)
        self.video = video
        self.num_faces = num_faces
        self.min_confidence = min_confidence
        self._landmarker = None

    def __enter__(self) -> FaceLandmarker:
        _survive_profiling_timer()
        BaseOptions, vision = load_mediapipe()
        options = vision.FaceLandmarkerOptions(
            base_options=BaseOptions(model_asset_buffer=self.model_path.read_bytes()),
            running_mode=vision.RunningMode.VIDEO if self.video else vision.RunningMode.IMAGE,
            num_faces=self.num_faces,
            min_face_detection_confidence=self.min_confidence,
            min_face_presence_confidence=self.min_confidence,
            output_face_blendshapes=True,
            output_facial_transformation_matrixes=True,
        )
        try:
            with quiet_mediapipe():
                self._landmarker = vision.FaceLandmarker.create_from_options(options)
        except Exception as error:
            wrong = UserError(f"{self.model_path} cannot be opened as a face landmarker model: {error}")
            raise missing_library(error) or wrong from error
        # Closed at the latest before the interpreter ends: MediaPipe cannot do it any more while that ends.
        self._close = weakref.finalize(self, self._landmarker.close)
        return self

    def __exit__(self, *_) -> None:
        if self._landmarker is not None:
            self._close()
            self._landmarker = None

    def detect(self, image: np.ndarray, timestamp_ms: int = 0) -> list[FaceDetection]:
        """Faces in an RGB image, uint8 [H, W, 3], the largest first; empty where there is none.

        `timestamp_ms` must grow from call to call in video mode, and is not used for single images.
        """
        import mediapipe

        if self._landmarker is None:
            raise RuntimeError("use FaceLandmarker in a with statement")
        picture = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(image))
        if self.video:
            result = self._landmarker.detect_for_video(picture, int(timestamp_ms))
        else:
            result = self._landmarker.detect(picture)
        height, width = image.shape[:2]
        scale = np.array([width, height, width], np.float32)
        faces = [
            FaceDetection(
                landmarks=np.array([[p.x, p.y, p.z] for p in points], np.float32) * scale,
                blendshapes={c.category_name: float(c.score) for c in shapes if c.category_name != "_neutral"},
                matrix=np.asarray(matrix, np.float32),
            )
            for points, shapes, matrix in zip(
                result.face_landmarks, result.face_blendshapes, result.facial_transformation_matrixes
            )
        ]
        return sorted(faces, key=lambda face: -np.prod(face.box[2:] - face.box[:2]))


def _survive_profiling_timer() -> None:
    """Give SIGPROF a handler that does nothing, where it has none.

    MediaPipe's library carries a CPU profiler with a timer of its own. Now and then a tick arrives while the signal has its
    default action, which ends the process ("Profiling timer expired"), in the middle of a run.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()  # only there Python can set handlers
    if in_main_thread and hasattr(signal, "SIGPROF") and signal.getsignal(signal.SIGPROF) == signal.SIG_DFL:
        signal.signal(signal.SIGPROF, lambda number, frame: None)


def load_mediapipe() -> tuple[Any, Any]:
    """MediaPipe's `BaseOptions` and `vision`. Raises UserError: it is not installed, or libraries of the system are missing."""
    try:
        from mediapipe.tasks.python import BaseOptions, vision
    except (ImportError, OSError) as error:
        wrong = UserError(f"mediapipe cannot be imported ({error}): pip install 'mediapipe>=1.0'")
        raise missing_library(error) or wrong from error
    return BaseOptions, vision


def check_mediapipe() -> None:
    """Raise UserError if MediaPipe cannot work here, without any model."""
    try:
        with FaceLandmarker(Path(os.devnull)):
            pass
    except UserError as error:
        if "cannot be opened" not in str(error):
            raise


@contextmanager
def quiet_mediapipe() -> Iterator[None]:
    """MediaPipe's C++ side writes start-up notes straight to file descriptor 2, past Python's logging; drop those."""
    saved = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)
