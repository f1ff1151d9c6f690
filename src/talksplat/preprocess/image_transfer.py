"""How the frames of another project's folder lie in ours: another size, another crop of the same video."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from talksplat.media.face_landmarker import DLIB68
from talksplat.preprocess.clip_plan import ClipPlan
from talksplat.subject_format.landmarks import landmark_ids, read_landmarks

INNER_FACE = slice(27, 68)  # nose, eyes and lips: detectors disagree about the jaw
FRAMES = 40  # that are compared
SAME = 0.012  # share of their width up to which a corner may be off, and what the sizes say still holds


@dataclass(frozen=True)
class ImageTransfer:
    """`ours = scale * theirs + offset`, in pixels."""

    scale: float
    offset: Float[np.ndarray, " 2"]
    reason: str  # how it is known, for a log line

    def __call__(self, pixels: Float[np.ndarray, "*shape 2"]) -> Float[np.ndarray, "*shape 2"]:
        """Pixels of theirs in our frames."""
        return self.scale * pixels + self.offset


@dataclass(frozen=True)
class VideoCrop:
    """Which square of the video our frames show."""

    corner: tuple[int, int]  # x, y, pixels of the upright video
    side: int
    video: tuple[int, int]  # width and height


class Imported:
    """A part that takes over what was found on other frames of the video; `follow` tells it our crop beforehand."""

    crop_of_clip: VideoCrop | None = None

    def follow(self, plan: ClipPlan, video: tuple[int, int]) -> None:
        """Take note of the crop of a clip, from a video of this width and height."""
        self.crop_of_clip = VideoCrop(plan.crop[:2], plan.crop[2], (int(video[0]), int(video[1])))


def find_transfer(
    images: Path,
    frame_ids: Int[np.ndarray, " frame"],
    landmarks: Float[np.ndarray, "frame 478 2"],
    theirs: tuple[int, int],
    ours: tuple[int, int],
    crop: VideoCrop | None = None,
) -> ImageTransfer | None:
    """From the sizes: their frames show the whole video, or the same square as ours. The `.lms` files in `images` tell
    whether that is so, and how theirs lie where it is not. None if neither tells.

    Args:
        images: their `ori_imgs`.
        landmarks: detected in our frames, pixels.
        theirs, ours: width and height of the frames.
        crop: of our frames, where it is known.
    """
    likely = _by_size(theirs, ours, crop)
    present = landmark_ids(images) if images.is_dir() else set()
    rows = np.array([row for row, frame_id in enumerate(frame_ids.tolist()) if frame_id in present], dtype=np.int64)
    if not len(rows):
        return likely
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, FRAMES).round().astype(int))]
    their_points = np.stack([read_landmarks(images / f"{frame_ids[row]}.lms") for row in rows])[:, INNER_FACE]
    found = np.isfinite(their_points).all((1, 2))
    if not found.any():
        return likely
    rows, their_points = rows[found], their_points[found]
    our_points = landmarks[rows][:, list(DLIB68)][:, INNER_FACE, :2]
    fitted = _fit(their_points.astype(np.float64), our_points.astype(np.float64))
    corners = np.array([[0, 0], theirs], dtype=np.float64)
    if likely is not None and np.abs(fitted(corners) - likely(corners)).max() < SAME * fitted.scale * max(theirs):
        return likely  # exact, which landmarks of two detectors are not
    return fitted


def _by_size(theirs: tuple[int, int], ours: tuple[int, int], crop: VideoCrop | None) -> ImageTransfer | None:
    size = f"{theirs[0]}x{theirs[1]}"
    if _same_shape(theirs, ours):
        return ImageTransfer(ours[0] / theirs[0], np.zeros(2), f"{size} scaled to {ours[0]}x{ours[1]}")
    if crop is not None and _same_shape(theirs, crop.video):
        to_ours = ours[0] / crop.side
        offset = -to_ours * np.array(crop.corner, dtype=np.float64)
        scale = to_ours * crop.video[0] / theirs[0]
        return ImageTransfer(scale, offset, f"{size}, the whole video, cropped and scaled to {ours[0]}x{ours[1]}")
    return None


def _same_shape(first: tuple[int, int], second: tuple[int, int]) -> bool:
    """Equal aspect up to one pixel."""
    return abs(first[0] * second[1] - first[1] * second[0]) <= max(*first, *second)


def _fit(theirs: Float[np.ndarray, "frame point 2"], ours: Float[np.ndarray, "frame point 2"]) -> ImageTransfer:
    """Robust: the scale is the median of the frames' ratios of spread, the offset the median of what is left."""
    spread = [np.linalg.norm(points - points.mean(1, keepdims=True), axis=(1, 2)) for points in (theirs, ours)]
    scale = float(np.median(spread[1] / spread[0]))
    offset = np.median((ours - scale * theirs).reshape(-1, 2), axis=0)
    return ImageTransfer(scale, offset, f"scaled by {scale:.4f} and moved by ({offset[0]:.1f}, {offset[1]:.1f}) pixels")
