"""How the frames of another project's folder lie in ours: another size, another crop of the same video."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from talksplat.data.landmarks import landmark_ids, read_landmarks
from talksplat.preprocess.landmarks import DLIB68

INNER_FACE = slice(27, 68)  # nose, eyes and lips: detectors disagree about the jaw
FRAMES = 40  # that are compared
SAME = 0.012  # share of the width up to which a corner may be off and the picture still counts as the same one


@dataclass(frozen=True)
class ImageTransfer:
    """`ours = scale * theirs + offset`, in pixels."""

    scale: float
    offset: Float[np.ndarray, " 2"]
    reason: str  # how it is known, for a log line

    def __call__(self, pixels: Float[np.ndarray, "*shape 2"]) -> Float[np.ndarray, "*shape 2"]:
        """Pixels of theirs in our frames."""
        return self.scale * pixels + self.offset


def find_transfer(
    images: Path,
    frame_ids: Int[np.ndarray, " frame"],
    landmarks: Float[np.ndarray, "frame 478 2"],
    theirs: tuple[int, int],
    ours: tuple[int, int],
) -> ImageTransfer | None:
    """From the `.lms` files in `images`, or from the sizes alone; None if both pictures have another shape and no `.lms`
    tells how they lie.

    Args:
        images: their `ori_imgs`.
        landmarks: detected in our frames, pixels.
        theirs, ours: width and height of the frames.
    """
    same_shape = abs(theirs[0] * ours[1] - theirs[1] * ours[0]) <= max(*theirs, *ours)
    whole = ImageTransfer(ours[0] / theirs[0], np.zeros(2), f"{theirs[0]}x{theirs[1]} scaled to {ours[0]}x{ours[1]}")
    present = landmark_ids(images) if images.is_dir() else set()
    rows = np.array([row for row, frame_id in enumerate(frame_ids.tolist()) if frame_id in present], dtype=np.int64)
    if not len(rows):
        return whole if same_shape else None
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, FRAMES).round().astype(int))]
    their_points = np.stack([read_landmarks(images / f"{frame_ids[row]}.lms") for row in rows])[:, INNER_FACE]
    our_points = landmarks[rows][:, list(DLIB68)][:, INNER_FACE, :2]
    fitted = _fit(their_points.astype(np.float64), our_points.astype(np.float64))
    corners = np.array([[0, 0], theirs], dtype=np.float64)
    if same_shape and np.abs(fitted(corners) - whole(corners)).max() < SAME * ours[0]:
        return whole
    return fitted


def _fit(theirs: Float[np.ndarray, "frame point 2"], ours: Float[np.ndarray, "frame point 2"]) -> ImageTransfer:
    """Robust: the scale is the median of the frames' ratios of spread, the offset the median of what is left."""
    spread = [np.linalg.norm(points - points.mean(1, keepdims=True), axis=(1, 2)) for points in (theirs, ours)]
    scale = float(np.median(spread[1] / spread[0]))
    offset = np.median((ours - scale * theirs).reshape(-1, 2), axis=0)
    return ImageTransfer(scale, offset, f"scaled by {scale:.4f} and moved by ({offset[0]:.1f}, {offset[1]:.1f}) pixels")
