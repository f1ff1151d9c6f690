"""Lip numbers of a talking face, from its 68 landmarks.

A similarity of the plane, fitted to points of the skull, removes where the head is, its size and its roll; the lips are then
taken from the base of the nose, which lies at their depth and so moves with them when the head turns or nods. Sound predicts
these numbers as well as those of 478 points with the pose removed in space, but for the jaw: gap 0.62 and 0.63, width 0.58
and 0.59, jaw 0.52 and 0.57, first shape component 0.60 and 0.56 (mean correlation of five people, each by a Whisper prior
of the others). Removing the correlation with yaw and pitch by regression removes speech as well (gap 0.59).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

# Upper bridge of the nose, corners of the eyes, and the contour beside the eyes: the widest base that speech leaves still.
# Without the last two the scale is too noisy for the jaw; with the tip of the nose, a nod would look like a change of size.
RIGID = (27, 28, 36, 39, 42, 45, 0, 16)
NOSE_BASE = slice(31, 36)
EYE_CORNERS = (36, 39, 42, 45)
NOSE_BASE_MIDDLE, CHIN = 33, 8
LIPS = slice(48, 68)
INNER_PAIRS = ((61, 67), (62, 66), (63, 65))
MOUTH_CORNERS = (48, 54)
NUM_SHAPES = 6  # principal components of the lips' shape, of which the first two are predictable from sound
TARGETS = ("gap", "width", "jaw", *(f"shape{k + 1}" for k in range(NUM_SHAPES)))


def lip_measures(landmarks: Float[np.ndarray, "frame 68 2"]) -> Float[np.ndarray, "frame 43"]:
    """Lip gap (mean of three pairs), mouth width, jaw (nose base to chin) and x, y of the 20 lip points of one person.

    The unit is the distance from the eyes to the chin in the person's mean face; landmarks are in pixels, NaN rows (no
    face) stay NaN.
    """
    measures = np.full((len(landmarks), 43), np.nan)
    seen = np.isfinite(landmarks).all((1, 2))
    if not seen.any():
        return measures
    face = _steadied(landmarks[seen].astype(np.float64))
    gap = np.mean([np.abs(face[:, a] - face[:, b]) for a, b in INNER_PAIRS], axis=0)
    width, jaw = (np.abs(face[:, a] - face[:, b]) for a, b in (MOUTH_CORNERS, (NOSE_BASE_MIDDLE, CHIN)))
    lips = face[:, LIPS] - face[:, NOSE_BASE].mean(1, keepdims=True)
    points = np.stack([lips.real, lips.imag], -1).reshape(len(face), -1)
    measures[seen] = np.concatenate([np.stack([gap, width, jaw], 1), points], 1)
    return measures


def lip_numbers(
    measures: Float[np.ndarray, "frame 43"], basis: Float[np.ndarray, "6 40"]
) -> Float[np.ndarray, "frame 9"]:
    """Targets of a prior for one person: `TARGETS`, each with mean 0 and variance 1 over the frames with a face."""
    numbers = np.concatenate([measures[:, :3], measures[:, 3:] @ basis.T], axis=1)
    if not np.isfinite(numbers).any():
        return numbers
    return (numbers - np.nanmean(numbers, 0)) / np.maximum(np.nanstd(numbers, 0), 1e-9)


def _steadied(points: np.ndarray) -> np.ndarray:
    """Landmarks as complex numbers [frame, 68]: rigid points laid on their mean, eyes level, eyes to chin = 1 on average."""
    points = points[..., 0] + 1j * points[..., 1]
    points = points - points[:, RIGID].mean(1, keepdims=True)
    rigid = points[:, RIGID]
    mean = rigid[0]
    for _ in range(3):
        turns = (rigid.conj() * mean).sum(1) / np.maximum((np.abs(rigid) ** 2).sum(1), 1e-12)
        mean = (rigid * turns[:, None]).mean(0)
    points = points * turns[:, None]
    face = points.mean(0)
    eyes = face[45] - face[36]
    height = np.abs(face[list(EYE_CORNERS)].mean() - face[CHIN])
    return points * (eyes.conj() / max(np.abs(eyes) * height, 1e-12))
