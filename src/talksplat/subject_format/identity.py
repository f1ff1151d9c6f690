"""Identity of the data in a subject folder: what its files hold, wherever it lies and whatever it is called."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np

from talksplat.files import content_hash
from talksplat.subject_format.images import original_path
from talksplat.subject_format.subject import Subject

POSES = ("track_params.pt", "transforms_train.json", "transforms_val.json", "au.csv")
MOST_READ = 64  # images whose bytes are read, spread over the frames; of all the size counts


def identity(subject: Subject, frame_ids: Sequence[int] | None = None) -> dict[str, str]:
    """Hashes of what a subject's files hold: `frames` (the original images), `masks` (what is made of them), `poses` (and
    action units) and `audio` (features).

    Args:
        subject: whose frames count.
        frame_ids: some of them only.
    """
    ids = subject.frame_ids.tolist() if frame_ids is None else frame_ids
    folders = ("parsing", "torso_imgs", *(["alpha"] if subject.soft_masks else []))
    masks = [f"{folder}/{frame_id}.png" for frame_id in ids for folder in folders]
    return {
        "frames": frames_hash(subject.root, ids),
        "masks": _hash(subject.root, ["bc.jpg", *masks]),
        "poses": _hash(subject.root, POSES),
        "audio": _hash(subject.root, [subject.audio_file]),
    }


def frames_hash(root: Path, frame_ids: Iterable[int]) -> str:
    """Hash of the original images of some frames."""
    return _hash(root, [f"ori_imgs/{original_path(root, frame_id).name}" for frame_id in frame_ids])


def _hash(root: Path, names: Sequence[str]) -> str:
    read = set(np.linspace(0, len(names) - 1, MOST_READ).round().astype(int).tolist())
    digest = sha256()
    for index, path in enumerate(root / name for name in names):
        if path.is_file():
            content = content_hash(path) if index in read else ""
            digest.update(f"{names[index]} {path.stat().st_size} {content}\n".encode())
    return digest.hexdigest()
