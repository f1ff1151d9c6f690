"""The 68 face landmarks of a frame (`ori_imgs/{i}.lms`) and the lip box made of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from talksplat.errors import UserError

OUTER_LIP = slice(48, 60)
NUM_LANDMARKS = 68


def lip_box(landmarks: Float[np.ndarray, "68 2"], width: int, height: int) -> Int[np.ndarray, " 4"]:
    """Square box (x0, y0, x1, y1), ends exclusive, around the outer lip, clipped to the image.

    GaussianTalker: integer midpoint of the bounding box of landmarks 48 to 59, half side
    floor(max(dx, dy) / 2). All zeros where the landmarks are unknown (NaN) or the box lies outside the image.
    """
    lips = landmarks[OUTER_LIP]
    if not np.isfinite(lips).all():
        return np.zeros(4, dtype=np.int64)
    low, high = lips.min(0).astype(np.int64), lips.max(0).astype(np.int64)
    center, half = (low + high) // 2, (high - low).max() // 2
    box = np.concatenate([np.maximum(center - half, 0), np.minimum(center + half, (width, height))])
    return box if (box[2:] > box[:2]).all() else np.zeros(4, dtype=np.int64)


def format_landmarks(landmarks: Float[np.ndarray, "68 2"]) -> str:
    """Text of a `.lms` file: one `x y` row in pixels for each landmark. Raises ValueError for a wrong shape or NaN."""
    landmarks = np.asarray(landmarks, dtype=np.float64)
    if landmarks.shape != (NUM_LANDMARKS, 2) or not np.isfinite(landmarks).all():
        raise ValueError(f"expected {NUM_LANDMARKS} finite landmarks of x and y, got shape {landmarks.shape}")
    return "".join(f"{x:.4f} {y:.4f}\n" for x, y in landmarks)


def read_landmarks(path: Path) -> Float[np.ndarray, "68 2"]:
    """Landmarks in pixels; NaN for points at exactly (-1, -1) or (0, 0), which detectors write for what they did not find.

    Raises UserError if the file is empty, has another number of rows, or NaN.
    """
    mend = "remove the file (the frame then has no lip box) or detect its landmarks again"
    try:
        values = np.array(path.read_text().split(), dtype=np.float32)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read landmarks from {path} ({error}): {mend}") from error
    if values.size == 0:
        raise UserError(f"{path} has no landmarks: {mend}")
    if values.size != NUM_LANDMARKS * 2:
        raise UserError(f"{path} has {values.size / 2:g} landmarks instead of {NUM_LANDMARKS}: {mend}")
    if not np.isfinite(values).all():
        raise UserError(f"{path} has landmarks that are no numbers: {mend}")
    points = values.reshape(NUM_LANDMARKS, 2)
    points[(points == -1).all(1) | (points == 0).all(1)] = np.nan
    return points


def read_all_landmarks(
    folder: Path, frame_ids: Int[np.ndarray, " frame"], notes: list[str]
) -> Float[np.ndarray, "frame 68 2"]:
    """Landmarks of many frames; NaN, and a line in `notes`, for frames without a `.lms` file, or not found in it."""
    landmarks = np.full((len(frame_ids), NUM_LANDMARKS, 2), np.nan, dtype=np.float32)
    present = landmark_ids(folder)
    for position, frame_id in enumerate(frame_ids.tolist()):
        if frame_id in present:
            landmarks[position] = read_landmarks(folder / f"{frame_id}.lms")
    missing = [frame_id for frame_id in frame_ids.tolist() if frame_id not in present]
    if missing:
        notes.append(f"{len(missing)} frames have no .lms file, so no lip box (first: {missing[0]})")
    marked = np.isin(frame_ids, list(present)) & np.isnan(landmarks).any((1, 2))
    if marked.any():
        notes.append(
            f"the .lms files of {marked.sum()} frames say that a point was not found (-1 or 0; first: {frame_ids[marked][0]}): it is not used"
        )
    return landmarks


def landmark_ids(folder: Path) -> set[int]:
    """Frame numbers that own a `.lms` file."""
    return {int(path.stem) for path in folder.glob("*.lms") if path.stem.isdecimal()}
