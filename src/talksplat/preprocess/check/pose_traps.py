"""Traps in head poses, start points and the split of a subject folder (GaussianTalker)."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np

from talksplat.preprocess.check.findings import Finding, Level
from talksplat.preprocess.check.folder import Folder
from talksplat.subject_format.labels import COLORS_BGR, Label, label_mask
from talksplat.subject_format.subject import Subject
from talksplat.subject_format.transforms import TRANSLATION_DIVISOR, split_positions

FOCALS = (500.0, 3000.0)  # pixels at 512; trackers of the lineage search 600 to 1,400
JUMP_DEGREES = 12.0  # from one frame to the next: a head shakes at no more than about 300 degrees a second
SCALE_TOLERANCE = 0.05
FEW_POINTS = 2000  # starting from 478 landmarks gave poor results whatever the schedule
ON_HEAD = 0.7  # share of the start points that should fall into the head mask


def frame_rows(folder: Folder) -> Iterator[Finding]:
    """Poses against frame numbers: a tracker that skipped faces and wrote its poses without gaps."""
    listed, track = folder.listed, folder.track
    if listed is None or track is None or track.frame_ids is not None:
        return
    count, ids, present = len(track.euler), listed.all_ids, folder.with_landmarks
    counts = np.array_equal(ids, np.arange(len(ids)))
    if counts and len(present) == count and not np.array_equal(present, np.arange(count)):
        yield Finding(
            Level.WARN,
            "frames",
            f"{count} poses without gaps, but .lms files up to {present[-1]}: the tracker skipped frames and the JSON's "
            "numbers are shifted after the first of them. Poses are matched to the .lms files here; elsewhere they are wrong",
        )
    elif len(ids) and len(ids) != count:
        yield Finding(Level.NOTE, "frames", f"{count} poses, {len(ids)} frames in the transforms files")


def scales(folder: Folder) -> Iterator[Finding]:
    """Whether both records of the poses have the layout's units: the track ten times the matrices."""
    if folder.track is None or folder.listed is None or not folder.listed.matrices:
        return
    track = float(folder.track.trans.norm(dim=1).median())
    matrices = np.stack(list(folder.listed.matrices.values()))
    ratio = track / float(np.median(np.linalg.norm(matrices[:, :3, 3], axis=1)))
    if abs(ratio / TRANSLATION_DIVISOR - 1) < SCALE_TOLERANCE:
        yield Finding(Level.GOOD, "poses", "translations of the track are ten times those of the matrices, as usual")
    else:
        yield Finding(
            Level.WARN,
            "poses",
            f"translations of the track are {ratio:.3g} times those of the matrices, where 10 is usual: who mixes both gets "
            f"a wrong scale (distance {track:.3g} in the track)",
        )


def focal_length(folder: Folder) -> Iterator[Finding]:
    """A focal length out of the usual range, or two that differ."""
    track_focal = None if folder.track is None else folder.track.focal
    json_focal = None if folder.listed is None else folder.listed.focal
    focal = json_focal if track_focal is None else track_focal
    if focal is None or folder.size is None:
        return
    at_512 = focal * 512 / max(folder.size)
    if not FOCALS[0] < at_512 < FOCALS[1]:
        yield Finding(
            Level.WARN, "focal", f"{focal:g} pixels, {at_512:.0f} at a size of 512: trackers find 600 to 1,400 there"
        )
    if track_focal and json_focal and abs(track_focal - json_focal) > 1e-2 * track_focal:
        yield Finding(
            Level.WARN,
            "focal",
            f"{track_focal:g} in track_params.pt, {json_focal:g} in the transforms files: the former counts",
        )


def split(folder: Folder) -> Iterator[Finding]:
    """A split that shares frames or is not 10 to 1, and audio numbers of their own."""
    if folder.listed is None or len(folder.listed.ids) < 2:
        return
    train, val = folder.listed.ids["train"], folder.listed.ids["val"]
    shared = np.intersect1d(train, val)
    if len(shared):
        yield Finding(Level.WARN, "split", f"{len(shared)} frames are in both splits: the first 10/11 train instead")
    elif len(train) != len(split_positions(len(train) + len(val))[0]):
        yield Finding(Level.NOTE, "split", f"{len(train)} to {len(val)} frames, not 10 to 1")
    for name in ("train", "val"):
        frames = json.loads((folder.root / f"transforms_{name}.json").read_text())["frames"]
        apart = [frame["img_id"] for frame in frames if frame.get("aud_id", frame["img_id"]) != frame["img_id"]]
        if apart:
            yield Finding(
                Level.WARN,
                "split",
                f"aud_id is not img_id for {len(apart)} frames (first: {apart[0]}): sound goes by img_id here",
            )


def steadiness(folder: Folder, subject: Subject) -> Iterator[Finding]:
    """Jumps of the head from one frame to the next, and a head that never moves."""
    rotations = subject.viewmats[:, :3, :3]
    trace = np.einsum("fij,fij->f", rotations[1:], rotations[:-1])
    degrees = np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1)))
    next_to = np.diff(subject.frame_ids) == 1
    jumps = np.flatnonzero(next_to & (degrees > JUMP_DEGREES))
    if len(jumps):
        first = subject.frame_ids[jumps[0] + 1]
        yield Finding(
            Level.WARN,
            "poses",
            f"the head jumps by more than {JUMP_DEGREES:g} degrees {len(jumps)} times (first at frame {first}): a cut, or a "
            "failed track",
        )
    if degrees.max() < 1e-4 and np.ptp(subject.viewmats[:, :3, 3], axis=0).max() < 1e-4:
        yield Finding(Level.WARN, "poses", "all poses are the same: was the head tracked at all?")


def start_points(folder: Folder, subject: Subject) -> Iterator[Finding]:
    """Number of start points, and whether they, the poses and the masks agree."""
    vertices = subject.vertices
    if not len(vertices):
        return
    if len(vertices) < FEW_POINTS:
        yield Finding(
            Level.WARN,
            "vertices",
            f"only {len(vertices)} points: avatars that start from so few are poor (34,650 are usual)",
        )
    shares, head_size = [], (subject.height, subject.width)
    for frame_id in folder.sample:
        position = np.flatnonzero(subject.frame_ids == frame_id)
        parsing = folder.image("parsing", frame_id)
        if not len(position) or parsing is None or parsing.shape[:2] != head_size or parsing.ndim != 3:
            continue
        codes = COLORS_BGR[Label.TORSO if subject.swapped_parsing else Label.HEAD]
        head = (
            (parsing[..., :3] == codes).all(-1) if subject.swapped_parsing else label_mask(parsing[..., :3], Label.HEAD)
        )
        viewmat = subject.viewmats[position[0]]
        camera = vertices @ viewmat[:3, :3].T + viewmat[:3, 3]
        columns, rows = np.floor((camera @ subject.K.T)[:, :2] / camera[:, 2:]).astype(np.int64).T
        inside = (columns >= 0) & (columns < subject.width) & (rows >= 0) & (rows < subject.height)
        shares.append(head[rows[inside], columns[inside]].sum() / len(vertices))
    if shares:
        level = Level.GOOD if np.mean(shares) > ON_HEAD else Level.WARN
        text = f"{100 * np.mean(shares):.0f} % of the {len(vertices)} points fall into the head masks"
        yield Finding(level, "vertices", text + ("" if level is Level.GOOD else ": poses, scale or masks do not agree"))


FOLDER_TRAPS = (frame_rows, scales, focal_length, split)
SUBJECT_TRAPS = (steadiness, start_points)
