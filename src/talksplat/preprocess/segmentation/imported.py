"""Semantic maps that another project, or a stronger segmenter, made of the same video."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from talksplat.errors import UserError
from talksplat.preprocess.clip_plan import frame_list
from talksplat.preprocess.image_transfer import ImageTransfer, Imported, find_transfer
from talksplat.preprocess.segmentation.base import ClipImages
from talksplat.subject_format.labels import COLORS_BGR, Label

logger = logging.getLogger(__name__)

LOOKED_AT = 5  # frames that tell the coding
FACE_ON_HEAD = 0.5  # share of the face landmarks that must lie on the head
FAR_COLOR = 100  # distance (RGB) from the nearest code beyond which a pixel is no code at all
MOST_FAR = 0.02  # share of such pixels up to which a map is a colour-coded one
# The 19 classes of CelebAMask-HQ, which the lineage's face parser gives: 14 and 15 neck, 16 cloth, all else the head.
PARSER_CLASSES = np.array([0, *[1] * 13, 2, 2, 3, 1, 1], dtype=np.uint8)


class ImportedSegmenter(Imported):
    """A `Segmenter` that reads `{frame number}.png`.

    Maps are colour-coded as in the shared layout, with red and blue in either order (told by where the face lies) and
    with soft or recompressed edges (the nearest code counts), or label images: 0 to 3 as `Label`, or the 19 classes of
    CelebAMask-HQ. They may have another size or crop than our frames (see `find_transfer`).

    Args:
        source: folder of maps, or a subject folder with `parsing`.

    Raises:
        UserError: no such folder, or no maps in it.
    """

    title = "imported maps"

    def __init__(self, source: str) -> None:
        folder = Path(source).expanduser()
        self._folder = folder / "parsing" if (folder / "parsing").is_dir() else folder
        files = sorted(self._folder.glob("*.png")) if self._folder.is_dir() else []
        if not files:
            raise UserError(f"segmentation.source={source} has no maps: give a folder of PNGs named by frame number")
        self.source = str(source)
        digest = hashlib.sha256()
        for path in files:
            status = path.stat()
            digest.update(f"{path.name} {status.st_size} {status.st_mtime_ns}\n".encode())
        self.source_digest = digest.hexdigest()  # part of the step's key
        self._decode: Callable[[np.ndarray], np.ndarray] | None = None
        self._transfer: ImageTransfer | None = None

    def ready(self) -> ImportedSegmenter:
        """See `Segmenter`: the maps are there."""
        return self

    def fit(self, clip: ClipImages, progress: Callable[[Iterable], Iterable] = iter) -> None:
        """Find out how the maps are coded and how they lie in our frames. Raises UserError where neither can be told."""
        ids = clip.track.frame_ids
        missing = [int(frame_id) for frame_id in ids if not (self._folder / f"{frame_id}.png").is_file()]
        if missing:
            raise UserError(
                f"{self._folder} has no map of frames {frame_list(missing)}: frame numbers count from 0 at 25 frames a second"
            )
        shown = np.unique(np.linspace(0, len(clip) - 1, LOOKED_AT).round().astype(int))
        maps = [self._read(int(ids[position])) for position in progress(shown)]
        height, width = maps[0].shape[:2]
        ours = (clip.width, clip.height)
        images = self._folder.parent / "ori_imgs"
        self._transfer = find_transfer(images, ids, clip.landmarks, (width, height), ours, self.crop_of_clip)
        if self._transfer is None:
            raise UserError(
                f"the maps of {self._folder} are {width}x{height} and the frames here {ours[0]}x{ours[1]}, and no .lms files "
                "tell how the one lies in the other: put their ori_imgs beside the folder"
            )
        landmarks = [clip.landmarks[position][:, :2] for position in shown]
        self._decode, coding = self._coding(maps, landmarks, ours)
        logger.info("imported maps of %s: %s, %s", self.source, coding, self._transfer.reason)

    def __call__(self, clip: ClipImages, position: int) -> UInt8[np.ndarray, "height width"]:
        """`Label` values of a frame at our size; what lies outside their picture is background."""
        if self._decode is None:
            raise RuntimeError("call fit first")
        return self._placed(self._decode(self._read(int(clip.track.frame_ids[position]))), (clip.width, clip.height))

    def _read(self, frame_id: int) -> np.ndarray:
        path = self._folder / f"{frame_id}.png"
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if image is None or image.dtype != np.uint8:
            raise UserError(f"{path} is no readable 8-bit image: copy it again")
        return image[..., :3] if image.ndim == 3 else image

    def _placed(self, labels: np.ndarray, ours: tuple[int, int]) -> UInt8[np.ndarray, "height width"]:
        scale, offset = self._transfer.scale, self._transfer.offset
        if labels.shape == ours[::-1] and scale == 1 and not offset.any():
            return labels
        # OpenCV counts pixel centres from 0, coordinates here from the corner.
        matrix = np.array([[scale, 0, offset[0]], [0, scale, offset[1]]]) + [[0, 0, scale / 2 - 0.5]] * 2
        return cv2.warpAffine(labels, matrix, ours, flags=cv2.INTER_NEAREST, borderValue=int(Label.BACKGROUND))

    def _coding(self, maps: list[np.ndarray], landmarks: list[np.ndarray], ours: tuple[int, int]):
        """The function from a map to labels under which the face lies on the head, and its name."""
        for name, decode in self._candidates(maps):
            placed = [self._placed(decode(image), ours) for image in maps]
            if np.mean([_on_head(labels, points) for labels, points in zip(placed, landmarks)]) > FACE_ON_HEAD:
                return decode, name
        raise UserError(
            f"the maps of {self._folder} do not show a head where the face is: they must be colour-coded (head blue, neck "
            "green, torso red, background white), or label images of 0 to 3 or of the 19 classes of CelebAMask-HQ, of this "
            "video"
        )

    def _candidates(self, maps: list[np.ndarray]):
        grey = [image if image.ndim == 2 else image[..., 0] for image in maps]
        plain = all(image.ndim == 2 or (image == image[..., :1]).all() for image in maps)
        largest = max(int(image.max()) for image in grey)
        if plain and largest <= int(max(Label)):
            return [("labels 0 to 3", lambda image: _first_channel(image, len(Label)))]
        if plain and largest < len(PARSER_CLASSES):
            return [("19 classes", lambda image: PARSER_CLASSES[_first_channel(image, len(PARSER_CLASSES))])]
        if plain or np.mean([_far_share(image) for image in maps]) > MOST_FAR:
            return []
        return [
            ("colour codes", nearest_code),
            ("colour codes, red and blue exchanged", lambda m: nearest_code(m[..., ::-1])),
        ]


def _first_channel(image: np.ndarray, classes: int) -> UInt8[np.ndarray, "height width"]:
    """The classes of a map; other numbers, such as an ignore code of 255, count as background."""
    plane = image if image.ndim == 2 else image[..., 0]
    return np.where(plane < classes, plane, 0).astype(np.uint8)


def _distances(bgr: UInt8[np.ndarray, "height width 3"]) -> np.ndarray:
    difference = bgr[..., None, :].astype(np.int32) - COLORS_BGR.astype(np.int32)
    return (difference**2).sum(-1)


def nearest_code(bgr: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "height width"]:
    """Labels by the nearest colour code."""
    return _distances(bgr).argmin(-1).astype(np.uint8)


def _far_share(bgr: np.ndarray) -> float:
    return float((_distances(bgr).min(-1) > FAR_COLOR**2).mean())


def _on_head(labels: UInt8[np.ndarray, "height width"], landmarks: np.ndarray) -> float:
    columns, rows = np.floor(landmarks).astype(int).T
    inside = (columns >= 0) & (columns < labels.shape[1]) & (rows >= 0) & (rows < labels.shape[0])
    return float((labels[rows[inside], columns[inside]] == Label.HEAD).mean()) if inside.any() else 0.0
