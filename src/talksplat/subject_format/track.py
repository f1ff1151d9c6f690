"""Head poses and start points of a subject: `track_params.pt` (GaussianTalker)."""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from talksplat.errors import UserError
from talksplat.geometry.cameras import euler_trans_from_viewmat, viewmat_from_euler_trans

NUM_IDENTITY, NUM_EXPRESSION = 100, 79
MEND = "track the head again, or copy the file again from where it came"


@dataclass
class Track:
    """Contents of `track_params.pt`, one row for each tracked frame."""

    euler: Float[Tensor, "frame 3"]  # radians
    trans: Float[Tensor, "frame 3"]  # dm
    focal: float | None  # pixels
    vertices: Float[np.ndarray, "vertex 3"]  # dm, mean over the frames; none if the file has none
    vertex_colors: UInt8[np.ndarray, "vertex 3"] | None
    frame_ids: Int[np.ndarray, " frame"] | None  # only in files written by this project

    def viewmats(self, rows: Int[np.ndarray, " row"]) -> Float[np.ndarray, "row 4 4"]:
        """World-to-camera matrices of some rows."""
        index = torch.from_numpy(rows)
        return viewmat_from_euler_trans(self.euler[index], self.trans[index]).numpy()


def track_bytes(
    frame_ids: Int[np.ndarray, " frame"],
    viewmats: Float[np.ndarray, "frame 4 4"],
    focal: float,
    vertices: Float[np.ndarray, "vertex 3"],
    vertex_colors: UInt8[np.ndarray, "vertex 3"] | None,
) -> bytes:
    """Contents of a `track_params.pt` of tensors only, with the keys of the shared layout and our two extra ones."""
    euler, trans = euler_trans_from_viewmat(torch.as_tensor(np.asarray(viewmats, dtype=np.float64)))
    content = {
        "id": torch.zeros(1, NUM_IDENTITY),
        "exp": torch.zeros(len(frame_ids), NUM_EXPRESSION),
        "euler": euler.float(),
        "trans": trans.float(),
        "focal": torch.tensor([float(focal)]),
        "vertices": torch.as_tensor(np.asarray(vertices, dtype=np.float32))[None].clone(),
        "frame_ids": torch.as_tensor(np.asarray(frame_ids, dtype=np.int64)).clone(),
    }
    if vertex_colors is not None:
        content["vertex_colors"] = torch.as_tensor(np.asarray(vertex_colors, dtype=np.uint8)).clone()
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def _load(path: Path) -> dict:
    if not path.is_file():
        raise UserError(f"{path} is missing: a subject needs the head poses of its frames; track the head first")
    try:
        # Files of other projects hold the vertices of every frame, gigabytes of which only the mean is wanted.
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:
        found = re.search(r"GLOBAL ([\w.]+)", str(error))  # torch's own text is advice to run the file's code
        holds = (
            found and f"holds {found[1]}, and more than tensors, numbers and text would need to run code from the file"
        )
        raise UserError(
            f"cannot read {path}: it {holds or f'is damaged ({type(error).__name__})'}. Save it again as a dict of tensors "
            f"(torch.as_tensor makes one of a NumPy array), or {MEND}"
        ) from error
    if not isinstance(content, dict):
        raise UserError(f"{path} holds a {type(content).__name__} instead of a dict of tensors: {MEND}")
    return content


def _pose_tensor(content: dict, key: str, path: Path) -> Float[Tensor, "frame 3"]:
    value = content.get(key)
    if not isinstance(value, Tensor) or value.ndim != 2 or value.shape[1] != 3 or not len(value):
        found = f"shape {list(value.shape)}" if isinstance(value, Tensor) else "nothing"
        raise UserError(f"{path} has {found} under `{key}` where [frames, 3] is needed: {MEND}")
    return value.detach().float()


def _mean_vertices(content: dict, path: Path, notes: list[str]) -> Float[np.ndarray, "vertex 3"]:
    vertices = content.get("vertices")
    if vertices is None:
        notes.append("track_params.pt has no vertices: start points will be carved from the head masks")
        return np.zeros((0, 3), dtype=np.float32)
    if not isinstance(vertices, Tensor) or vertices.ndim not in (2, 3) or vertices.shape[-1] != 3:
        raise UserError(f"`vertices` in {path} is not [frames, points, 3] or [points, 3]: {MEND}")
    if vertices.ndim == 3:
        total = torch.zeros(vertices.shape[1:], dtype=torch.float64)
        for chunk in vertices.detach().split(64):
            total += chunk.double().sum(0)
        vertices = total / len(vertices)
    mean = vertices.detach().float().numpy()
    if not np.isfinite(mean).all():
        raise UserError(f"`vertices` in {path} has values that are no numbers: {MEND}")
    return mean.copy()


def _vertex_colors(content: dict, num_vertices: int, path: Path) -> UInt8[np.ndarray, "vertex 3"] | None:
    colors = content.get("vertex_colors")
    if colors is None:
        return None
    if not isinstance(colors, Tensor) or colors.dtype != torch.uint8 or colors.shape != (num_vertices, 3):
        raise UserError(f"`vertex_colors` in {path} is not uint8 [{num_vertices}, 3], one colour a vertex: {MEND}")
    return colors.numpy().copy()


def _frame_ids(content: dict, num_poses: int, path: Path) -> Int[np.ndarray, " frame"] | None:
    if content.get("frame_ids") is None:
        return None
    frame_ids = torch.as_tensor(content["frame_ids"]).long().numpy().copy()
    if frame_ids.shape != (num_poses,) or (frame_ids < 0).any() or (np.diff(frame_ids) <= 0).any():
        raise UserError(f"`frame_ids` in {path} are not {num_poses} rising frame numbers, one for each pose: {MEND}")
    return frame_ids


def read_track(path: Path, notes: list[str]) -> Track:
    """Poses, focal length and start points; lines on what is missing are added to `notes`.

    Accepts `vertices` [frames, V, 3], [1, V, 3] or [V, 3] (the mean over frames is kept), or none. Raises UserError if
    the file is missing, damaged, needs code to load, or has poses of a wrong shape or that are no numbers.
    """
    content = _load(path)
    euler, trans = (_pose_tensor(content, key, path) for key in ("euler", "trans"))
    if len(euler) != len(trans):
        raise UserError(f"{path} has {len(euler)} rotations but {len(trans)} translations: {MEND}")
    bad = ~(torch.isfinite(euler).all(1) & torch.isfinite(trans).all(1))
    if bad.any():
        row = int(bad.nonzero()[0, 0])
        raise UserError(
            f"{path} has head poses that are no numbers ({int(bad.sum())} of {len(bad)}, row {row}): {MEND}"
        )
    if (trans[:, 2] >= 0).any():
        row = int((trans[:, 2] >= 0).nonzero()[0, 0])
        raise UserError(
            f"{path} puts the head behind the camera (row {row}): z of `trans` is negative in this layout. {MEND}"
        )
    focal = content.get("focal")
    vertices = _mean_vertices(content, path, notes)
    return Track(
        euler=euler,
        trans=trans,
        focal=None if focal is None else float(torch.as_tensor(focal).flatten()[0]),
        vertices=vertices,
        vertex_colors=_vertex_colors(content, len(vertices), path),
        frame_ids=_frame_ids(content, len(euler), path),
    )
