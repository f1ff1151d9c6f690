"""Which of a subject's two records of head poses counts: `track_params.pt` or the matrices of the transforms files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from talksplat.errors import UserError
from talksplat.geometry.cameras import OPENGL_TO_OPENCV, euler_trans_from_viewmat
from talksplat.subject_format.track import Track, read_track
from talksplat.subject_format.transforms import TRANSLATION_DIVISOR, Transforms

FARTHEST_METRES = 3.0  # no portrait is taken from further away: larger numbers are decimetres
NEAREST_DECIMETRES, FARTHEST_DECIMETRES = 1.5, 100.0  # smaller numbers are metres, larger ones millimetres
SAME_DEGREES, SAME_SHARE = 0.5, 0.02  # rotation, and share of the distance, up to which two records say the same
REFINED_BY = ("aud_ave.npy", "bs.npy")  # SyncTalk's files: it refines poses after tracking and keeps them in the JSON


def read_poses(root: Path, listed: Transforms, notes: list[str]) -> Track:
    """Head poses of a subject folder in decimetres.

    `track_params.pt` counts, as in GaussianTalker. The matrices count where that file is missing, and in SyncTalk's
    folders, which refine them afterwards. Units are told from the head's distance: decimetres, millimetres or
    metres in `track_params.pt`, metres or decimetres in the matrices. Whatever is not the rule becomes a line in `notes`.
    Raises UserError where neither record can be used.
    """
    path = root / "track_params.pt"
    if not path.is_file() and not listed.matrices:
        raise UserError(
            f"{path} is missing and no transforms file holds a `transform_matrix`: a subject needs the head poses of "
            "its frames; track the head first"
        )
    from_matrices = _track_of_matrices(root, listed, notes) if listed.matrices else None
    if not path.is_file():
        notes.append("no track_params.pt: poses from the transforms files, start points will be carved from the masks")
        return from_matrices
    tracked = read_track(path, notes)
    distance = float(tracked.trans[:, 2].abs().median())
    if distance > FARTHEST_DECIMETRES:
        notes.append("translations of track_params.pt are in millimetres: divided by 100")
        tracked.trans = tracked.trans / 100
    elif distance < NEAREST_DECIMETRES:
        notes.append(
            "translations of track_params.pt are in metres, as those of the transforms files: multiplied by 10"
        )
        tracked.trans = tracked.trans * 10
    if from_matrices is None or tracked.frame_ids is not None:
        return tracked
    difference = pose_difference(tracked, from_matrices, listed)
    if difference is None or (difference[0] < SAME_DEGREES and difference[1] < SAME_SHARE):
        return tracked
    apart = f"{difference[0]:.1f} degrees and {100 * difference[1]:.1f} % of the distance"
    refined = next((name for name in REFINED_BY if (root / name).is_file()), None)
    if refined is None:
        notes.append(f"poses of track_params.pt and of the transforms files differ by {apart}: the former are used")
        return tracked
    notes.append(
        f"poses from the transforms files, which differ from track_params.pt by {apart}: {refined} tells SyncTalk, "
        "which refines them there"
    )
    from_matrices.vertices, from_matrices.vertex_colors = tracked.vertices, tracked.vertex_colors
    return from_matrices


def viewmats_of(matrices: Float[np.ndarray, "frame 4 4"]) -> tuple[Float[np.ndarray, "frame 4 4"], float]:
    """World-to-camera matrices (OpenCV, dm) of the layout's camera-to-world ones, and the factor put on translations."""
    distance = float(np.median(np.linalg.norm(matrices[:, :3, 3], axis=1)))
    factor = 1.0 if distance > FARTHEST_METRES else TRANSLATION_DIVISOR
    scaled = matrices.copy()
    scaled[:, :3, 3] *= factor
    return np.diag([*OPENGL_TO_OPENCV, 1.0]) @ np.linalg.inv(scaled), factor


def _track_of_matrices(root: Path, listed: Transforms, notes: list[str]) -> Track:
    missing = [int(frame_id) for frame_id in listed.all_ids if int(frame_id) not in listed.matrices]
    if missing:
        raise UserError(
            f"the transforms files of {root} have no `transform_matrix` for frame {missing[0]}: copy them again"
        )
    matrices = np.stack([listed.matrices[int(frame_id)] for frame_id in listed.all_ids])
    rotations = matrices[:, :3, :3]
    if not np.isfinite(matrices).all() or np.abs(rotations @ rotations.transpose(0, 2, 1) - np.eye(3)).max() > 1e-2:
        raise UserError(f"the transforms files of {root} have matrices that are no camera poses: track the head again")
    viewmats, factor = viewmats_of(matrices)
    if (viewmats[:, 2, 3] <= 0).any():
        raise UserError(f"the transforms files of {root} put the head behind the camera: track the head again")
    if factor == 1.0:
        notes.append("translations of the transforms files are not divided by 10: taken as decimetres")
    euler, trans = euler_trans_from_viewmat(torch.from_numpy(viewmats))
    empty = np.zeros((0, 3), dtype=np.float32)
    return Track(euler.float(), trans.float(), listed.focal, empty, None, None)


def pose_difference(tracked: Track, from_matrices: Track, listed: Transforms) -> tuple[float, float] | None:
    """Median rotation (degrees) and translation (share of the distance) between both records; None if not comparable."""
    rows = np.arange(len(from_matrices.euler))
    if len(tracked.euler) != len(rows):
        if listed.all_ids[-1] >= len(tracked.euler):
            return None
        rows = listed.all_ids
    first, second = tracked.viewmats(rows), from_matrices.viewmats(np.arange(len(rows)))
    trace = np.einsum("fij,fij->f", first[:, :3, :3], second[:, :3, :3])
    degrees = np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1)))
    apart = np.linalg.norm(first[:, :3, 3] - second[:, :3, 3], axis=1) / np.linalg.norm(first[:, :3, 3], axis=1)
    return float(np.median(degrees)), float(np.median(apart))
