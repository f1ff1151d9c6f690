"""Source clip of an avatar: its poses, blinks and backgrounds, from its folder or from the checkpoint."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from omegaconf import DictConfig
from torch import Tensor

from talksplat.errors import UserError
from talksplat.rendering.frame_reader import FrameReader, PlateReader
from talksplat.subject_format.identity import frames_hash
from talksplat.subject_format.subject import Subject, read_subject

logger = logging.getLogger(__name__)


@dataclass
class SourceClip:
    """Data of a clip for rendering its avatar. `subject` is None where its folder is missing."""

    frame_ids: Int[np.ndarray, " frame"]
    viewmats: Float[np.ndarray, "frame 4 4"]
    K: Float[np.ndarray, "3 3"]
    eye: Float[np.ndarray, " frame"]
    action_units: Float[np.ndarray, "frame unit"]  # none for an avatar that only blinks
    width: int
    height: int
    fps: float
    splits: dict[str, Int[np.ndarray, " part"]]  # "train", "val" and "test": positions into `frame_ids`
    subject: Subject | None
    plate: UInt8[Tensor, "height width 3"]  # background with torso of the first training frame

    @property
    def plate_frame(self) -> int:
        """Number of the frame that `plate` shows."""
        return int(self.frame_ids[self.splits["train"][0]])

    def reader(self, *names: str) -> FrameReader | PlateReader:
        """Reader of the named images of the clip's frames; without a folder, always the one background."""
        return PlateReader(self.plate) if self.subject is None else FrameReader(self.subject, names)


def open_source_clip(
    entry: dict[str, Any], audio: DictConfig, root: str | None, soft_masks: bool = False
) -> SourceClip:
    """The source clip of a checkpoint.

    Args:
        entry: the checkpoint's `talksplat.subject`.
        audio: configuration node `audio` of its run.
        root: subject folder; None: where it was when the avatar was trained.
        soft_masks: as in the dataset of its run; only for measuring against the folder's frames.

    Raises:
        UserError: `root` is not a subject folder, or has other frames.
    """
    folder = Path(entry["root"] if root is None else root).expanduser()
    if root is None and not folder.is_dir():
        logger.warning(
            "the subject folder %s is missing: the avatar is rendered over the one background in its checkpoint. "
            "If the folder has moved, give subject=FOLDER",
            folder,
        )
        return _source_clip(entry, None)
    subject = read_subject(folder, list(audio.files), audio.width, audio.window, soft_masks=soft_masks)
    if (subject.width, subject.height) != (entry["width"], entry["height"]):
        raise UserError(
            f"{folder} has frames of {subject.width}x{subject.height} pixels, but the avatar was trained on "
            f"{entry['width']}x{entry['height']}: give subject=FOLDER of the clip it was trained on"
        )
    subject = _trained_frames(subject, entry["frame_ids"].numpy(), folder)
    check_frames(folder, entry)
    return _source_clip(entry, subject)


def check_frames(folder: Path, entry: dict[str, Any]) -> None:
    """Raise UserError if a folder has not the images that an avatar was trained on; `entry` is the checkpoint's, which in older
    versions does not tell."""
    if entry.get("frames_hash") not in (None, frames_hash(folder, entry["frame_ids"].tolist())):
        raise UserError(
            f"the images in {folder} are not those of the clip that this avatar was trained on, though their numbers are: give "
            "subject=FOLDER of that clip"
        )


def _trained_frames(subject: Subject, frame_ids: np.ndarray, folder: Path) -> Subject:
    """The frames listed in the checkpoint, so that positions and splits agree."""
    missing = np.setdiff1d(frame_ids, subject.frame_ids)
    if len(missing):
        raise UserError(
            f"{folder} lacks frame {missing[0]} ({len(missing)} in all) of the clip that this avatar was trained on: "
            f"give subject=FOLDER of that clip"
        )
    return subject.subset(np.flatnonzero(np.isin(subject.frame_ids, frame_ids)))


def _source_clip(entry: dict[str, Any], subject: Subject | None) -> SourceClip:
    return SourceClip(
        frame_ids=entry["frame_ids"].numpy(),
        viewmats=entry["viewmats"].numpy(),
        K=entry["K"].numpy(),
        eye=entry["eye"].numpy(),
        action_units=entry.get("action_units", torch.zeros(len(entry["eye"]), 0)).numpy(),
        width=entry["width"],
        height=entry["height"],
        fps=float(entry.get("fps", 25.0)),
        splits=_splits(entry),
        subject=subject,
        plate=entry["plate"],
    )


def _splits(entry: dict[str, Any]) -> dict[str, np.ndarray]:
    """Positions by split. Versions without "test" had two splits, and called the papers' held-out frames "val"."""
    train, val = entry["train"].numpy(), entry["val"].numpy()
    if "test" in entry:
        return {"train": train, "val": val, "test": entry["test"].numpy()}
    return {"train": train, "val": val[:0], "test": val}
