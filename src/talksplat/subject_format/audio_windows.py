"""Audio features of a subject and the stretch of them that belongs to a frame (GaussianTalker).

A window is a few feature rows (50 each second) around one video frame; the context of a frame is the windows of the
frames around it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from talksplat.command_line import setting
from talksplat.errors import UserError
from talksplat.types import frames_before

MAX_MISSING_ROWS = 3  # video and audio encoders disagree by this many frames at the end of a clip
ROWS_PER_FRAME = 2  # 50 rows a second, 25 frames


def context_rows(
    rows: Int[Tensor, " frame"],
    context: int,
    start: int | Int[Tensor, " frame"],
    stop: int | Int[Tensor, " frame"],
    ahead: int | None = None,
) -> Int[Tensor, "frame context"]:
    """`context` rows around each row k, of which `ahead` after it; -1 where they fall outside [start, stop)."""
    around = rows[:, None] + torch.arange(context, device=rows.device) - frames_before(context, ahead)
    start, stop = (bound[:, None] if isinstance(bound, Tensor) else bound for bound in (start, stop))
    return torch.where((around >= start) & (around < stop), around, -1)


def audio_windows(
    features: Float[Tensor, "row window feature"],
    positions: Int[Tensor, " frame"],
    context: int = 8,
    ahead: int | None = None,
) -> Float[Tensor, "frame context window feature"]:
    """`context` windows around each position, of which `ahead` after it, zeros outside the array; on any device."""
    rows = context_rows(positions, context, 0, len(features), ahead)
    return torch.where(rows[..., None, None] >= 0, features[rows.clamp(min=0)], 0)


def rewindow(rows: Float[np.ndarray, "row feature"], window: int) -> Float[np.ndarray, "frame window feature"]:
    """Windows of `window` rows centred on each frame, from 50 rows a second; zero padded at both ends."""
    num_frames = -(-len(rows) // ROWS_PER_FRAME)
    half = window // 2
    padded = np.zeros((ROWS_PER_FRAME * num_frames + window, rows.shape[1]), dtype=rows.dtype)
    padded[half : half + len(rows)] = rows
    first = ROWS_PER_FRAME * np.arange(num_frames)
    return padded[first[:, None] + np.arange(window)]


def about_path(features: Path) -> Path:
    """File beside a feature file that says what made it; foreign folders have none."""
    return features.with_suffix(".json")


def read_fingerprint(features: Path) -> Float[np.ndarray, " width"] | None:
    """Fingerprint of the features in a file; None where nothing beside it tells. Raises UserError for a damaged one."""
    path = about_path(features)
    if not path.is_file():
        return None
    try:
        fingerprint = np.array(json.loads(path.read_text())["fingerprint"], dtype=np.float32)
        if fingerprint.ndim != 1 or not np.isfinite(fingerprint).all():
            raise ValueError("its fingerprint is no row of numbers")
        return fingerprint
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"cannot read {path} ({error}): make the features again, or remove it") from error


def find_audio_file(root: Path, names: Sequence[str]) -> Path:
    """The first of `names` that the subject folder has. Raises UserError listing what it has instead."""
    for name in names:
        if (root / name).is_file():
            return root / name
    found = sorted(path.name for path in root.glob("aud*.npy"))
    there = f"it has {', '.join(found)}: choose the audio=... setting made for one of those" if found else "it has none"
    raise UserError(
        f"{root} has no audio features {' or '.join(names)}; {there}, or make them with "
        f"`python -m talksplat.preprocess {setting('features', root)} audio=KIND`, or put the file there"
    )


def read_audio_features(
    path: Path, width: int, window: int, num_rows: int, notes: list[str]
) -> Float[np.ndarray, "row window feature"]:
    """Windows of a feature file, at least `num_rows` of them.

    Files with the two raw 50 Hz rows of each frame (HuBERT as the lineage writes it) are windowed here. Up to three
    missing rows at the end repeat the last one. Both become a line in `notes`. Raises UserError for a file that is no
    plain array, of another width or window, too short, or with values that are no numbers.
    """
    try:
        features = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path} is not a plain .npy array ({error}): make the audio features again") from error
    if isinstance(features, np.ndarray) and features.ndim == 2 and window == 1:
        features = features[:, None]  # one vector a frame, as SyncTalk's encoder writes
    if not isinstance(features, np.ndarray) or features.ndim != 3 or not np.issubdtype(features.dtype, np.number):
        shape = list(getattr(features, "shape", []))
        raise UserError(f"{path} has shape {shape} where [frames, window, width] is needed: make it again")
    features = features.astype(np.float32)
    if features.shape[1:] == (ROWS_PER_FRAME, width) and window != ROWS_PER_FRAME:
        features = rewindow(features.reshape(-1, width), window)
        if not about_path(path).is_file():  # not stored so by this project
            notes.append(f"{path.name} has two rows a frame: windows of {window} rows were made of them")
    if features.shape[1:] != (window, width):
        raise UserError(
            f"{path} has windows of {features.shape[1]} rows of width {features.shape[2]}, but the audio setting "
            f"expects {window} rows of width {width}: choose the audio=... setting made for this file"
        )
    if not np.isfinite(features).all():
        row = int(np.flatnonzero(~np.isfinite(features).all((1, 2)))[0])
        raise UserError(f"{path} has values that are no numbers (first in row {row}): make the audio features again")
    missing = num_rows - len(features)
    if missing > MAX_MISSING_ROWS or not len(features):
        raise UserError(
            f"{path} has {len(features)} rows but the last video frame is number {num_rows - 1}: make the features "
            "again from the audio of the whole video (25 rows a second)"
        )
    if missing > 0:
        features = np.concatenate([features, np.repeat(features[-1:], missing, axis=0)])
        notes.append(f"{path.name} ends {missing} frames early: its last row is repeated")
    return features
