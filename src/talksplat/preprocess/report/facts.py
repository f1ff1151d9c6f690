"""Everything that the report shows as curves and words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from talksplat.lips.sync import SoundOffset
from talksplat.preprocess.verdicts import Check


@dataclass(frozen=True)
class Facts:
    """Numbers of one subject. F used frames, V frames of the video at 25 fps."""

    title: str
    about: list[tuple[str, str]]  # name and value, for the head of the page
    checks: list[Check]
    notes: list[str]
    frame_ids: Int[np.ndarray, " frame"]
    angles: Float[np.ndarray, "frame 3"]  # pitch, yaw, roll in degrees
    position: Float[np.ndarray, "frame 3"]  # head in the camera: right, down, forward, dm
    blink: Float[np.ndarray, " frame"]  # 0 open, 1 shut
    rigid_error: Float[np.ndarray, " frame"]  # pixels
    full_error: Float[np.ndarray, " frame"]
    confidence: Float[np.ndarray, " frame"]
    left_out: dict[str, list[int]]  # reason -> frames of the video that are not used
    opening: Float[np.ndarray, " video"]  # lip gap in heights of the face, NaN where there is no face
    loudness: Float[np.ndarray, " video"]
    sync: SoundOffset  # of the sound as it came
    durations: dict[str, float]  # step -> seconds


def stretches(frame_ids: list[int]) -> list[tuple[int, int]]:
    """First and last frame of every run of consecutive numbers."""
    if not frame_ids:
        return []
    numbers = np.asarray(frame_ids)
    breaks = np.flatnonzero(np.diff(numbers) > 1)
    return list(zip(numbers[np.r_[0, breaks + 1]].tolist(), numbers[np.r_[breaks, len(numbers) - 1]].tolist()))


def with_gaps(
    frame_ids: Int[np.ndarray, " frame"], values: Float[np.ndarray, "frame column"]
) -> tuple[Float[np.ndarray, " row"], Float[np.ndarray, "row column"]]:
    """Times (s) and values by consecutive frame, NaN where frames are missing: curves then break there."""
    numbers = np.arange(frame_ids[0], frame_ids[-1] + 1)
    filled = np.full((len(numbers), values.shape[1]), np.nan)
    filled[frame_ids - frame_ids[0]] = values
    return numbers / 25, filled
