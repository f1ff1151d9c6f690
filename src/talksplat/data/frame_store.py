"""Frames and conditions of a subject, gathered into batches by position."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from talksplat.data import frame_cache
from talksplat.errors import UserError
from talksplat.geometry.head_motion import head_motion
from talksplat.subject_format.audio_windows import context_rows
from talksplat.subject_format.subject import Subject
from talksplat.types import Conditions, FrameBatch

CACHES = ("memory", "device", "disk")


class FrameStore:
    """All frames of a subject, decoded once, as bytes; they become floats only on the device that uses them.

    `cache`: "memory" keeps them in RAM; "device" on the first accelerator that asks for a batch, which is then one
    gather there, without waiting for the host; "disk" in a file under `cache_dir` (default: `.cache` in the subject's
    folder). With `audio_across_split` a frame's audio context may reach over the border between training and other
    frames; without it those windows are zero, as in GaussianTalker.
    Raises UserError for an image that is missing, cut short, unreadable or of a wrong size, and if the frames do not
    fit into the cache.
    """

    def __init__(
        self,
        subject: Subject,
        cache: str = "memory",
        cache_dir: Path | str | None = None,
        audio_context: int = 8,
        audio_across_split: bool = True,
        motion_lags: Sequence[float] = (),
        audio_ahead: int | None = None,
    ):
        if cache not in CACHES:
            raise UserError(f"dataset.cache={cache} is unknown: choose one of {', '.join(CACHES)}")
        if audio_context < 1:
            raise UserError(f"dataset.audio_context={audio_context} must be at least 1")
        self.subject = subject
        self.cache = cache
        self.motion_lags = motion_lags
        tables = _condition_tables(subject, audio_context, audio_ahead, audio_across_split, motion_lags)
        self._tables = {torch.device("cpu"): tables}
        if cache == "disk":
            folder = subject.root / ".cache" if cache_dir is None else Path(cache_dir).expanduser()
            self._packed = frame_cache.load_to_disk(subject, folder)
        else:
            self._packed = frame_cache.load_to_memory(subject)

    def __len__(self) -> int:
        return len(self.subject.frame_ids)

    @property
    def num_bytes(self) -> int:
        """Size of the decoded frames."""
        return len(self) * frame_cache.packed_size(self.subject)

    def batch(self, positions: Int[Tensor, " frame"], device: torch.device | str) -> FrameBatch:
        """The frames at `positions` (into `subject.frame_ids`), on `device`."""
        device = torch.device(device)
        tables = self._tables_on(device)
        index = positions.to(device, non_blocking=True)
        packed = self._gather(index if self.cache == "device" else positions, device)
        subject = self.subject
        images = frame_cache.unpack_frames(packed, subject.width, subject.height, subject.soft_masks)
        return FrameBatch(
            frame_ids=tables["frame_ids"].index_select(0, index),
            conditions=self.conditions(index, device),
            lip_boxes=tables["lip_boxes"].index_select(0, index),
            **images,
        )

    def conditions(self, positions: Int[Tensor, " frame"], device: torch.device | str) -> Conditions:
        """Conditions of the frames at `positions`, without their images."""
        device = torch.device(device)
        tables = self._tables_on(device)
        index = positions.to(device, non_blocking=True)
        rows = tables["audio_rows"].index_select(0, index)
        audio = tables["audio"].index_select(0, rows.flatten()).unflatten(0, rows.shape)
        return Conditions(
            audio=audio,
            eye=tables["eye"].index_select(0, index),
            viewmats=tables["viewmats"].index_select(0, index),
            Ks=tables["K"].repeat(len(positions), 1, 1),
            motion=tables["motion"].index_select(0, index),
            action_units=tables["action_units"].index_select(0, index),
            frames=tables["frame_ids"].index_select(0, index),
            lip_measures=tables["lip_measures"].index_select(0, index),
        )

    def use_poses(self, viewmats: Float[np.ndarray, "frame 4 4"]) -> None:
        """Replace the poses, and the motion computed from them."""
        poses = torch.from_numpy(viewmats)
        motion = head_motion(poses, torch.from_numpy(self.subject.frame_ids) / self.subject.fps, self.motion_lags)
        for table in self._tables.values():
            table["viewmats"], table["motion"] = poses.to(table["viewmats"]), motion.to(table["motion"])

    def _gather(self, positions: Tensor, device: torch.device) -> UInt8[Tensor, "frame byte"]:
        if self.cache == "device":
            self._move_frames(device)
            return self._packed.index_select(0, positions.to(self._packed.device)).to(device)
        # Pinned memory comes from a reused pool, and lets the copy overlap with the GPU's work.
        pinned = device.type == "cuda"
        packed = torch.empty(len(positions), self._packed.shape[1], dtype=torch.uint8, pin_memory=pinned)
        if isinstance(self._packed, frame_cache.FrameFile):
            self._packed.read(positions, out=packed)
        else:
            torch.index_select(self._packed, 0, positions.cpu(), out=packed)
        return packed.to(device, non_blocking=True)

    def _move_frames(self, device: torch.device) -> None:
        if device.type == "cpu" or self._packed.device.type != "cpu":
            return  # moved once, to the first accelerator
        try:
            self._packed = self._packed.to(device)
        except torch.OutOfMemoryError as error:
            raise UserError(
                f"the frames of {self.subject.root} ({self.num_bytes / frame_cache.GIB:.1f} GiB) do not fit on "
                f"{device}: set dataset.cache=memory"
            ) from error

    def _tables_on(self, device: torch.device) -> dict[str, Tensor]:
        if device not in self._tables:
            cpu = self._tables[torch.device("cpu")]
            self._tables[device] = {name: tensor.to(device) for name, tensor in cpu.items()}
        return self._tables[device]


def _condition_tables(
    subject: Subject,
    audio_context: int,
    audio_ahead: int | None,
    audio_across_split: bool,
    motion_lags: Sequence[float],
) -> dict[str, Tensor]:
    """Everything but images, by position. `audio` ends with a window of zeros, where rows outside point to."""
    audio = torch.from_numpy(subject.audio)
    blank = len(audio)
    frame_ids = torch.from_numpy(subject.frame_ids)
    start, stop = torch.zeros_like(frame_ids), torch.full_like(frame_ids, blank)
    if not audio_across_split:
        for positions in filter(len, (subject.train, subject.val, subject.test)):
            numbers = subject.frame_ids[positions]
            start[positions], stop[positions] = int(numbers.min()), int(numbers.max()) + 1
    rows = context_rows(frame_ids, audio_context, start, stop, audio_ahead)
    viewmats = torch.from_numpy(subject.viewmats)
    return {
        "frame_ids": frame_ids,
        "viewmats": viewmats,
        "motion": head_motion(viewmats, frame_ids / subject.fps, motion_lags),
        "K": torch.from_numpy(subject.K),
        "eye": torch.from_numpy(subject.eye),
        "action_units": torch.from_numpy(subject.action_units),
        "lip_boxes": torch.from_numpy(subject.lip_boxes),
        "lip_measures": torch.from_numpy(subject.lip_measures),
        "audio": torch.cat([audio, torch.zeros_like(audio[:1])]),
        "audio_rows": torch.where(rows < 0, blank, rows),
    }
