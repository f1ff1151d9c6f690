"""Split, frame numbers and poses of a subject: `transforms_train.json` and `transforms_val.json` (GaussianTalker 1.4), which
has what the papers report and other rooms call test frames."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from talksplat.errors import UserError

SPLITS = ("train", "val")
TRANSLATION_DIVISOR = 10.0  # the layout's matrices count in metres; everything else here in decimetres


@dataclass
class Transforms:
    """What the two files say; `ids` has a key for each file that exists."""

    ids: dict[str, Int[np.ndarray, " frame"]]
    focal: float | None  # pixels
    center: tuple[float, float] | None  # principal point, pixels
    matrices: dict[int, Float[np.ndarray, "4 4"]]  # camera-to-world in OpenGL axes, by frame number

    @property
    def all_ids(self) -> Int[np.ndarray, " frame"]:
        """Rising frame numbers of both files together."""
        return np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *self.ids.values()]))


def split_positions(num_frames: int) -> tuple[Int[np.ndarray, " train"], Int[np.ndarray, " val"]]:
    """Positions of the first 10/11 of the frames, rounded down but at least one, and of the rest."""
    num_train = max(1, num_frames * 10 // 11)
    return np.arange(num_train), np.arange(num_train, num_frames)


def transforms_json(
    frame_ids: Int[np.ndarray, " frame"],
    viewmats: Float[np.ndarray, "frame 4 4"],
    focal: float,
    width: int,
    height: int,
) -> str:
    """Contents of one file: camera-to-world matrices [R^T | -R^T t / 10] in OpenGL axes."""
    frames = []
    for frame_id, viewmat in zip(np.asarray(frame_ids).tolist(), np.asarray(viewmats, dtype=np.float64)):
        opengl = np.diag([1.0, -1.0, -1.0]) @ viewmat[:3]
        matrix = np.eye(4)
        matrix[:3, :3] = opengl[:, :3].T
        matrix[:3, 3] = -opengl[:, :3].T @ opengl[:, 3] / TRANSLATION_DIVISOR
        frames.append({"img_id": frame_id, "aud_id": frame_id, "transform_matrix": matrix.tolist()})
    return json.dumps({"focal_len": float(focal), "cx": width / 2, "cy": height / 2, "frames": frames}, indent=1)


def read_transforms(root: Path) -> Transforms:
    """What both files hold. Raises UserError for a file that is no such JSON, or has matrices of another shape."""
    ids: dict[str, np.ndarray] = {}
    focal, center = None, None
    matrices: dict[int, np.ndarray] = {}
    for split in SPLITS:
        path = root / f"transforms_{split}.json"
        if not path.is_file():
            continue
        try:
            content = json.loads(path.read_text())
            numbers = np.array([int(frame["img_id"]) for frame in content["frames"]], dtype=np.int64)
            ids[split] = np.unique(numbers)
            focal = float(content["focal_len"]) if "focal_len" in content else focal
            center = (float(content["cx"]), float(content["cy"])) if "cx" in content else center
            for frame in content["frames"]:
                if "transform_matrix" in frame:
                    matrices[int(frame["img_id"])] = np.array(frame["transform_matrix"], np.float64).reshape(4, 4)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{path} is not JSON with `frames` that have an `img_id` and a 4x4 `transform_matrix` ({error!r}): copy "
                "it again, or remove both transforms files and the frames are split 10/11 to 1/11"
            ) from error
        if len(ids[split]) < len(numbers):
            raise UserError(
                f"{path} lists a frame (`img_id`) more than once: copy it again, or keep one entry per frame"
            )
    return Transforms(ids, focal, center, matrices)


def resolve_frames(
    num_poses: int,
    own_ids: Int[np.ndarray, " frame"] | None,
    listed: Int[np.ndarray, " listed"],
    with_landmarks: Int[np.ndarray, " present"],
    notes: list[str],
) -> tuple[Int[np.ndarray, " frame"], Int[np.ndarray, " frame"]] | None:
    """Frame numbers of a subject, and the row of the track that holds the pose of each; None if they cannot be told.

    Our own list wins. Without one, the lineage's tracker is allowed for: it fits only frames that own a `.lms` and
    writes their poses without gaps, while the JSON counts 0, 1, 2...: every frame after one undetected face would get
    its neighbour's pose. So, where as many frames have landmarks as there are poses and the JSON merely counts, the
    landmarks tell. Otherwise the JSON does; where there is none, the landmarks.
    """
    rows = np.arange(num_poses)
    if own_ids is not None:
        return own_ids, rows
    compacted = len(with_landmarks) == num_poses and not np.array_equal(with_landmarks, rows)
    if compacted and (not len(listed) or np.array_equal(listed, rows)):
        notes.append(
            f"frame numbers have gaps ({num_poses} poses, last frame {with_landmarks[-1]}): taken from the .lms files, "
            "which the tracker had followed"
        )
        return with_landmarks, rows
    if len(listed) == num_poses:
        return listed, rows
    if len(listed) and listed[-1] < num_poses:
        notes.append(f"the transforms files list {len(listed)} of {num_poses} tracked frames: only those are used")
        return listed, listed
    if len(with_landmarks) == num_poses:
        notes.append("frame numbers taken from the .lms files")
        return with_landmarks, rows
    return None


def resolve_split(
    frame_ids: Int[np.ndarray, " frame"], transforms: Transforms, notes: list[str]
) -> tuple[Int[np.ndarray, " train"], Int[np.ndarray, " val"]]:
    """Positions into `frame_ids` of the training and the held-out frames.

    Both files are needed; without them, or if one is left empty or both share frames, the first 10/11 train.
    """
    if set(transforms.ids) != set(SPLITS):
        missing = " and ".join(f"transforms_{split}.json" for split in SPLITS if split not in transforms.ids)
        return _fall_back(frame_ids, f"no {missing}", notes)
    ids = {split: transforms.ids[split] for split in SPLITS}
    listed = transforms.all_ids
    if np.array_equal(listed, np.arange(len(frame_ids))) and not np.array_equal(listed, frame_ids):
        ids = {split: frame_ids[ids[split]] for split in SPLITS}  # they count poses, see `resolve_frames`
    train, val = (np.flatnonzero(np.isin(frame_ids, ids[split])) for split in SPLITS)
    if np.intersect1d(train, val).size:
        return _fall_back(frame_ids, "transforms_train.json and transforms_val.json share frames", notes)
    if not len(train) or not len(val):
        return _fall_back(frame_ids, "a transforms file lists none of the tracked frames", notes)
    unused = len(frame_ids) - len(train) - len(val)
    if unused:
        notes.append(f"{unused} tracked frames are in neither transforms file: not used for training or testing")
    return train, val


def _fall_back(frame_ids: np.ndarray, reason: str, notes: list[str]) -> tuple[np.ndarray, np.ndarray]:
    train, val = split_positions(len(frame_ids))
    notes.append(f"{reason}: the first {len(train)} frames (10/11) train, the last {len(val)} are held out")
    return train, val
