"""Whether a frame's landmarks lie on the face: hands, microphones and passers-by show in the colours beneath them.

MediaPipe gives no score for a face in a video, and its landmarks keep the shape of a face whatever lies in front of it: with
a block over two thirds of a face in two clips they were 3.5 to 13 pixels off (mean over landmarks, at 512), and yet the
reprojection error of rigid landmarks stayed below twice the clip's median in 17 of 29 frames.
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
# Times the usual deviation. Of two clips and parts of them, clean frames stay below 1.7; frames with a block over a
# third of the face or more stay above 1.8 and reach 3.2.
STRANGE, DOUBTFUL = 2.4, 1.7
LONGEST, MOST = 75, 0.25  # frames, share of the clip; what is there more often is another light rather than a hand
ROUNDS = 8  # of reweighting
OUTLIER = 1.3  # times the usual deviation, from where on a frame counts little in the fit
RIDGE = 0.2  # of the frames' weight: few frames must not explain the hand by their pose
RARE_POSE = 10.0  # squared standard deviations from the median pose at which 1.4 times the deviation is usual

# The outline lies half on the background; lids and inner lips cover and uncover what is behind them.
ON_SKIN = np.setdiff1d(np.arange(NUM_SKIN), FACE_OVAL + INNER_LIP + LEFT_EYE + RIGHT_EYE)


def strangeness(
    landmarks: Float[np.ndarray, "frame 478 _"], tones: UInt8[np.ndarray, "frame 468 3"]
) -> Float[np.ndarray, " frame"]:
    """How far a face's colours lie from those expected at its pose, in units of the clip's median; inf without a face.

    Expected colours are linear in the pose, fitted to the frames that agree (iteratively reweighted ridge regression from
    the median on).
    """
    found = np.isfinite(landmarks[:, 0, 0])
    result = np.full(len(landmarks), np.inf)
    if not found.any():
        return result
    poses = _poses(landmarks[found])
    inputs = np.concatenate([np.ones((len(poses), 1)), poses], axis=1)
    colors = _without_gain(tones[found][:, ON_SKIN].astype(np.float32))
    expected = np.median(colors, axis=0, keepdims=True)
    penalty = RIDGE * np.diag([0.0, 1.0, 1.0, 1.0])
    for _ in range(ROUNDS):
        deviation = np.abs(colors - expected).mean(1)
        usual = max(float(np.median(deviation)), 1e-6)
        weights = 1 / (1 + (deviation / usual / OUTLIER) ** 4)
        weighted = inputs * weights[:, None]
        expected = inputs @ np.linalg.solve(weighted.T @ inputs + penalty * weights.sum(), weighted.T @ colors)
    deviation = np.abs(colors - expected).mean(1)
    rare = np.sqrt(1 + np.square(poses).sum(1) / RARE_POSE)
    result[found] = deviation / max(float(np.median(deviation)), 1e-6) / rare
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


def _poses(landmarks: np.ndarray) -> Float[np.ndarray, "frame 3"]:
    """Yaw, pitch and roll in standard deviations from the median: from the place of the nose between the eyes."""
    points = landmarks[..., :2].astype(np.float64)
    eyes = points[:, LEFT_EYE_OUTER] - points[:, RIGHT_EYE_OUTER]
    width = np.maximum(np.linalg.norm(eyes, axis=1, keepdims=True), 1e-6)
    across = eyes / width
    nose = (points[:, NOSE_TIP] - 0.5 * (points[:, LEFT_EYE_OUTER] + points[:, RIGHT_EYE_OUTER])) / width
    yaw = (nose * across).sum(1)
    pitch = nose[:, 1] * across[:, 0] - nose[:, 0] * across[:, 1]
    poses = np.stack([yaw, pitch, np.arctan2(eyes[:, 1], eyes[:, 0])], axis=1)
    return ((poses - np.median(poses, axis=0)) / np.maximum(poses.std(0), 1e-6)).clip(-3, 3)


def _without_gain(colors: Float[np.ndarray, "frame point 3"]) -> Float[np.ndarray, "frame value"]:
    """Colours relative to each frame's own level and contrast, so that a lamp or the camera's exposure does not count."""
    level = colors.mean(1, keepdims=True)
    contrast = colors.std((1, 2), keepdims=True)
    return ((colors - level) / np.maximum(contrast, 1.0)).reshape(len(colors), -1)
