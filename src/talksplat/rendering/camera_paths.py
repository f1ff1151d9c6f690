"""Camera paths: pose of each frame of a new video, and the frame of the clip whose torso, background and blink it shows.

World coordinates are those of the head, so a moving head is a moving camera (GaussianTalker).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from talksplat.errors import UserError

MAX_GAP = 3  # frames that may be missing between neighbours without the head visibly jumping


@dataclass
class CameraPath:
    """N frames to render. `positions` and `eyes` count along the clip's frames (positions, not frame numbers)."""

    viewmats: Float[np.ndarray, "frame 4 4"]
    positions: Int[np.ndarray, " frame"]  # frame of the clip whose torso and background are shown
    eyes: Int[np.ndarray, " frame"]  # frame of the clip whose blink and other action units are shown


@runtime_checkable
class Camera(Protocol):
    """Makes the path of a video of any length from the poses of a clip."""

    def __call__(
        self,
        num_frames: int,
        fps: float,
        frame_ids: Int[np.ndarray, " pose"],
        viewmats: Float[np.ndarray, "pose 4 4"],
    ) -> CameraPath:
        """The path of `num_frames` frames at `fps`, from the clip's frame numbers and world-to-camera matrices."""
        ...

    def at(self, frame: int) -> Camera:
        """The closest path for which the torso and background of `frame` (its number) suffice."""
        ...


class Cycle:
    """The clip's own head movement, forwards and backwards in turn, endless and without a jump.

    Where the tracker lost the face, only the longest run of frames without a gap is used.
    """

    def __call__(self, num_frames, fps, frame_ids, viewmats) -> CameraPath:
        """See `Camera`."""
        positions = ping_pong(num_frames, longest_run(frame_ids))
        return CameraPath(viewmats[positions], positions, positions)

    def at(self, frame: int) -> Static:
        """A still camera."""
        return Static(frame)


class Static:
    """One pose throughout; the eyes still blink as in the clip.

    Args:
        frame: number of the frame whose pose and torso are shown; None: the one nearest to the clip's mean pose.
    """

    def __init__(self, frame: int | None = None) -> None:
        self.frame = frame

    def __call__(self, num_frames, fps, frame_ids, viewmats) -> CameraPath:
        """See `Camera`; UserError where the clip has no such frame."""
        position = _position_of(self.frame, frame_ids, viewmats)
        return CameraPath(
            np.repeat(viewmats[position][None], num_frames, axis=0),
            np.full(num_frames, position),
            ping_pong(num_frames, longest_run(frame_ids)),
        )

    def at(self, frame: int) -> Static:
        """A still camera at that frame."""
        return Static(frame)


class Orbit:
    """A camera that swings from side to side around the head, over the torso and background of one frame.

    Args:
        degrees: largest turn to either side.
        period: seconds from one side to the other and back.
        frame: as for `Static`.

    Raises:
        UserError: a turn of 90 degrees or more (the back of the head was never seen), or no period.
    """

    def __init__(self, degrees: float = 15.0, period: float = 4.0, frame: int | None = None) -> None:
        if not 0 < degrees < 90:
            raise UserError(f"camera.degrees={degrees} must be between 0 and 90")
        if period <= 0:
            raise UserError(f"camera.period={period} must be more than 0 seconds")
        self.degrees, self.period, self.frame = degrees, period, frame

    def __call__(self, num_frames, fps, frame_ids, viewmats) -> CameraPath:
        """See `Camera`; UserError where the clip has no such frame."""
        still = Static(self.frame)(num_frames, fps, frame_ids, viewmats)
        angles = math.radians(self.degrees) * np.sin(2 * np.pi * np.arange(num_frames) / fps / self.period)
        turns = np.tile(np.eye(4, dtype=viewmats.dtype), (num_frames, 1, 1))
        turns[:, 0, 0] = turns[:, 2, 2] = np.cos(angles)
        turns[:, 0, 2], turns[:, 2, 0] = np.sin(angles), -np.sin(angles)
        # A rotation about the head's own vertical axis keeps its position in the image.
        return CameraPath(still.viewmats @ turns, still.positions, still.eyes)

    def at(self, frame: int) -> Orbit:
        """The same swing around that frame's pose."""
        return Orbit(self.degrees, self.period, frame)


def ping_pong(num_frames: int, run: slice) -> Int[np.ndarray, " frame"]:
    """First to last of `run`, back to the first, repeated; neighbours differ by one."""
    last = run.stop - run.start - 1
    steps = np.arange(num_frames) % max(2 * last, 1)
    return run.start + np.minimum(steps, 2 * last - steps)


def longest_run(frame_ids: Int[np.ndarray, " pose"]) -> slice:
    """The longest run of positions between whose frame numbers at most `MAX_GAP` are missing."""
    cuts = np.flatnonzero(np.diff(frame_ids) > MAX_GAP + 1) + 1
    starts, stops = np.concatenate([[0], cuts]), np.concatenate([cuts, [len(frame_ids)]])
    longest = int(np.argmax(stops - starts))
    return slice(int(starts[longest]), int(stops[longest]))


def _position_of(frame: int | None, frame_ids: np.ndarray, viewmats: np.ndarray) -> int:
    if frame is None:
        distance = np.abs(viewmats - viewmats.mean(0)).sum((1, 2))
        return int(distance.argmin())
    found = np.flatnonzero(frame_ids == frame)
    if not len(found):
        raise UserError(f"camera.frame={frame}: not among the frames {frame_ids[0]} to {frame_ids[-1]} of the clip")
    return int(found[0])
