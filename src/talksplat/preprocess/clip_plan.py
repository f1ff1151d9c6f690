"""Which frames of a video are used, and which part of the picture; refuses clips that cannot become an avatar."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from talksplat.errors import UserError
from talksplat.preprocess.confidence import confidence, covered, strangeness
from talksplat.preprocess.faces import FaceStream

FPS = 25.0
MOST = 0.5  # share of frames that counts as most
CUT_CHANGE = 12.0  # mean change of the thumbnail's grey levels (of 255) from one frame to the next
CUT_RATIO = 4.0  # of that change to those around it, of which four in five are smaller than the one it is compared with
CUT_AROUND = 12  # frames on either side
HAIR_MARGIN, SHOULDER_MARGIN, SIDE_MARGIN = 0.45, 0.35, 0.45  # of the face's height, around the faces' union box
MAX_ENLARGEMENT = 1.5


@dataclass
class ClipPlan:
    """The part of a video that becomes the subject."""

    frame_ids: Int[np.ndarray, " frame"]  # numbers in the video at 25 fps
    crop: tuple[int, int, int]  # x, y, side of the square, pixels of the upright video
    resolution: int  # side of the result
    cuts: list[int]  # first frames of new scenes
    lost: list[int]  # frames of the scene without a face
    covered: list[int]  # frames of the scene with something before the face, such as a hand
    confidence: Float[np.ndarray, " frame"]  # in [0, 1], of the used frames: are the landmarks on a bare face
    second_person: list[int]  # frames with another large face
    notes: list[str] = field(default_factory=list)

    @property
    def scale(self) -> float:
        """Result pixels in one video pixel."""
        return self.resolution / self.crop[2]

    def landmarks(self, faces: FaceStream) -> Float[np.ndarray, "frame 478 3"]:
        """Landmarks of the used frames in pixels of the result."""
        offset = np.array([self.crop[0], self.crop[1], 0], np.float32)
        return (faces.landmarks[self.frame_ids] - offset) * np.float32(self.scale)


def find_cuts(faces: FaceStream) -> list[int]:
    """First frames of new scenes: the picture changes far more at once than it does in the frames around.

    Compared with the large changes around and not the usual ones: a camera that swings, or a clip that holds its pictures
    (variable frame rate), changes much in some frames and little in others.
    """
    thumbnails = faces.thumbnails.astype(np.float32)
    change = np.abs(np.diff(thumbnails, axis=0)).mean((1, 2, 3))
    cuts = []
    for index in np.flatnonzero(change > CUT_CHANGE):
        around = change[max(index - CUT_AROUND, 0) : index + CUT_AROUND + 1]
        if change[index] > CUT_RATIO * np.percentile(around, 80):
            cuts.append(int(index) + 1)
    return cuts


def frame_list(numbers: list[int], most: int = 6) -> str:
    """Frame numbers as ranges for a message: "3-7, 12"."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    text = [str(a) if a == b else f"{a}-{b}" for a, b in ranges]
    return ", ".join(text[:most]) + (f" and {len(text) - most} more stretches" if len(text) > most else "")


def plan_clip(
    faces: FaceStream,
    resolution: int = 512,
    min_seconds: float = 2.0,
    on_cut: Literal["longest", "keep", "fail"] = "longest",
    name: str = "the video",
) -> ClipPlan:
    """Choose frames and crop.

    Args:
        resolution: side of the result; less if the face region is so small that it would be enlarged wildly.
        min_seconds: shortest usable length.
        on_cut: take the longest scene, keep all (of one person before one camera), or refuse clips with cuts.

    Raises:
        UserError: too short, no face in most frames, two people throughout, a cut with on_cut="fail".
    """
    needed = round(min_seconds * FPS)
    _check_people(faces, needed, min_seconds, name)
    found = faces.found
    cuts = find_cuts(faces)
    if cuts and on_cut == "fail":
        raise UserError(
            f"{name} has a cut at frame {frame_list(cuts)}: cut the video to one scene, or set clip.on_cut=longest"
        )
    start, end = (0, len(found)) if on_cut == "keep" else _longest_scene(cuts, found)
    strange = strangeness(faces.landmarks[start:end], faces.tones[start:end])
    hidden = covered(strange)
    used = found[start:end] & ~hidden
    frame_ids = np.arange(start, end)[used]
    if len(frame_ids) < needed:
        raise UserError(
            f"{name} has only {len(frame_ids) / FPS:.2f} s with a bare face in one scene (frames {start}-{end - 1}), at least "
            f"clip.min_seconds={min_seconds:g} s are needed"
        )
    crop = square_crop(faces, frame_ids)
    second = second_person(faces)
    notes = []
    if cuts:
        used_part = "all scenes are" if on_cut == "keep" else f"only the longest scene, frames {start}-{end - 1}, is"
        notes.append(f"cut at frame {frame_list(cuts)}: {used_part} used")
    lost = [int(i) for i in np.arange(start, end)[~found[start:end]]]
    if lost:
        notes.append(f"no face in {len(lost)} frames, which are left out: {frame_list(lost)}")
    behind = [int(i) for i in np.arange(start, end)[hidden]]
    if behind:
        notes.append(f"the face is covered or cut off in {len(behind)} frames, left out: {frame_list(behind)}")
    if second:
        notes.append(f"another person in {len(second)} frames: {frame_list(second)}")
    size = min(resolution, int(crop[2] * MAX_ENLARGEMENT) // 2 * 2)
    if size < resolution:
        notes.append(f"the face region has only {crop[2]} pixels: the subject gets {size} instead of {resolution}")
    return ClipPlan(frame_ids, crop, size, cuts, lost, behind, confidence(strange[used]), second, notes)


def _check_people(faces: FaceStream, needed: int, min_seconds: float, name: str) -> None:
    count = len(faces.thumbnails)
    if count < needed:
        raise UserError(
            f"{name} is too short: {count / FPS:.2f} s, at least clip.min_seconds={min_seconds:g} s are needed "
            "(3 to 5 minutes make a good avatar)"
        )
    found = faces.found
    if found.mean() < MOST:
        raise UserError(
            f"{name} shows no face in most frames ({int(found.sum())} of {count} have one): use a clip of one person "
            "facing the camera"
        )
    second = second_person(faces)
    if len(second) > MOST * count:
        raise UserError(
            f"{name} shows two people in most frames ({len(second)} of {count}): crop it to one person first"
        )


def second_person(faces: FaceStream) -> list[int]:
    """Frames with another large face."""
    return [int(i) for i in np.flatnonzero(np.isfinite(faces.second[:, 0]))]


def _longest_scene(cuts: list[int], found: Bool[np.ndarray, " frame"]) -> tuple[int, int]:
    borders = [0, *cuts, len(found)]
    scenes = list(zip(borders, borders[1:]))
    return max(scenes, key=lambda scene: (int(found[scene[0] : scene[1]].sum()), -scene[0]))


def square_crop(faces: FaceStream, frame_ids: Int[np.ndarray, " frame"]) -> tuple[int, int, int]:
    """Square around all places of the face, with room for hair and shoulders; a square video is used whole."""
    width, height = (int(value) for value in faces.size)
    if width == height:
        return 0, 0, width
    points = faces.landmarks[frame_ids][..., :2]
    boxes = np.concatenate([points.min(1), points.max(1)], axis=1)
    low, high = np.percentile(boxes[:, :2], 1, axis=0), np.percentile(boxes[:, 2:], 99, axis=0)
    face = float(np.median(boxes[:, 3] - boxes[:, 1]))
    low = low - face * np.array([SIDE_MARGIN, HAIR_MARGIN])
    high = high + face * np.array([SIDE_MARGIN, SHOULDER_MARGIN])
    side = int(min(np.ceil((high - low).max()), width, height))
    x = int(np.clip((low[0] + high[0] - side) / 2, 0, width - side))
    y = int(np.clip(low[1] + max(0.0, (high[1] - low[1] - side) / 2), 0, height - side))
    return x, y, side
