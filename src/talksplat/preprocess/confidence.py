"""Whether a frame's landmarks lie on the face: hands, microphones and passers-by show in the colours beneath them.

MediaPipe gives no score for a face in a video, and its landmarks keep the shape of a face whatever lies in front of it: with
a block over two thirds of a face they were 4 to 13 pixels off, and their reprojection error rose by a third to a half only.
The skin's colours at the landmarks tell: without anything in the way they follow from the head's pose.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, UInt8

from talksplat.preprocess.face_tracker.face_regions import (
    FACE_OVAL,
    INNER_LIP,
    LEFT_EYE,
    LEFT_EYE_OUTER,
    NOSE_TIP,
    RIGHT_EYE,
    RIGHT_EYE_OUTER,
)

NUM_SKIN = 468  # landmarks whose colours are looked at
STRANGE, DOUBTFUL = (
    2.6,
    1.6,
)  # times the usual deviation; clean frames of two clips stay below 1.9, fast turns below 2.5
LONGEST, MOST = 75, 0.25  # frames, share of the clip; what is there more often is another light rather than a hand
ROUNDS = 8  # of reweighting
RARE_POSE = 10.0  # squared standard deviations from the median pose at which half as much again of deviation is usual

# The outline lies half on the background; lids and inner lips cover and uncover what is behind them.
ON_SKIN = np.setdiff1d(np.arange(NUM_SKIN), FACE_OVAL + INNER_LIP + LEFT_EYE + RIGHT_EYE)


def strangeness(
    landmarks: Float[np.ndarray, "frame 478 _"], tones: UInt8[np.ndarray, "frame 468 3"]
) -> Float[np.ndarray, " frame"]:
    """How far a face's colours lie from those expected at its pose, in units of the clip's median; inf without a face.

    Expected colours are quadratic in the pose, fitted to the frames that agree (iteratively reweighted least squares).
    """
    found = np.isfinite(landmarks[:, 0, 0])
    result = np.full(len(landmarks), np.inf)
    if not found.any():
        return result
    inputs = _pose_terms(landmarks[found])
    colors = _without_gain(tones[found][:, ON_SKIN].astype(np.float32))
    weights = np.ones(len(inputs))
    for _ in range(ROUNDS):
        weighted = inputs * weights[:, None]
        scale = weighted.T @ inputs + 1e-3 * len(inputs) * np.eye(inputs.shape[1])
        expected = inputs @ np.linalg.solve(scale, weighted.T @ colors)
        deviation = np.abs(colors - expected).mean(1)
        usual = max(float(np.median(deviation)), 1e-6)
        weights = 1 / (1 + (deviation / usual / 1.5) ** 4)
    rare = np.sqrt(1 + np.square(inputs[:, 1:4]).sum(1) / RARE_POSE)
    result[found] = deviation / usual / rare
    return result


def confidence(strange: Float[np.ndarray, " frame"]) -> Float[np.ndarray, " frame"]:
    """Confidence in [0, 1] from `strangeness`: about 0.96 for a usual frame, 0.5 at `STRANGE`, 0 without a face."""
    return 1 / (1 + (strange / STRANGE) ** 4)


def covered(strange: Float[np.ndarray, " frame"]) -> Bool[np.ndarray, " frame"]:
    """Frames with something before the face: runs of doubtful frames with a strange one among them."""
    doubtful = np.isfinite(strange) & (strange > DOUBTFUL)
    borders = np.flatnonzero(np.diff(np.concatenate([[0], doubtful.astype(np.int8), [0]])))
    result = np.zeros(len(strange), bool)
    for start, stop in zip(borders[::2], borders[1::2]):
        result[start:stop] = stop - start <= LONGEST and strange[start:stop].max() > STRANGE
    return result if result.mean() <= MOST else np.zeros_like(result)


def _pose_terms(landmarks: np.ndarray) -> Float[np.ndarray, "frame 7"]:
    """1, yaw, pitch, roll, their squares: from the place of the nose between the eyes, each about 1 in size."""
    points = landmarks[..., :2].astype(np.float64)
    eyes = points[:, LEFT_EYE_OUTER] - points[:, RIGHT_EYE_OUTER]
    width = np.maximum(np.linalg.norm(eyes, axis=1, keepdims=True), 1e-6)
    across = eyes / width
    nose = (points[:, NOSE_TIP] - 0.5 * (points[:, LEFT_EYE_OUTER] + points[:, RIGHT_EYE_OUTER])) / width
    yaw = (nose * across).sum(1)
    pitch = nose[:, 1] * across[:, 0] - nose[:, 0] * across[:, 1]
    poses = np.stack([yaw, pitch, np.arctan2(eyes[:, 1], eyes[:, 0])], axis=1)
    poses = (poses - np.median(poses, axis=0)) / np.maximum(poses.std(0), 1e-6)
    yaw, pitch, roll = poses.clip(-3, 3).T
    return np.stack([np.ones(len(yaw)), yaw, pitch, roll, yaw**2, pitch**2, yaw * pitch], axis=1)


def _without_gain(colors: Float[np.ndarray, "frame point 3"]) -> Float[np.ndarray, "frame value"]:
    """Colours relative to each frame's own level and contrast, so that a lamp or the camera's exposure does not count."""
    level = colors.mean(1, keepdims=True)
    contrast = colors.std((1, 2), keepdims=True)
    return ((colors - level) / np.maximum(contrast, 1.0)).reshape(len(colors), -1)
