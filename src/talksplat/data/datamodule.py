"""Data module of a portrait: a checked subject folder, and its frames."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
from jaxtyping import Float

from talksplat.data.batches import Batches
from talksplat.data.frame_store import CACHES, FrameStore
from talksplat.data.head_cloud import with_head_cloud
from talksplat.data.mask_checks import check_masks
from talksplat.data.splits import PAPER, check_split, first_frames, first_seconds, with_validation
from talksplat.errors import UserError
from talksplat.subject_format.identity import identity
from talksplat.subject_format.subject import Subject, read_subject

logger = logging.getLogger(__name__)


class PortraitDataModule(Batches, pl.LightningDataModule):
    """Frames, audio windows and conditions of one portrait.

    `audio_files`: feature files to look for, the first one found is used; `audio_width` and `audio_window`: their width
    and rows a window; `audio_context`: windows around each frame, of which `audio_ahead` after it (None: one less than half). `cache`, `cache_dir` and `audio_across_split` are
    explained in FrameStore. `max_frames` keeps the first frames of both splits, in the proportion 10 to 1.
    `train_seconds` trains on the first seconds of the training frames only; the held-out ones stay. `split`, `val_share` and
    `val_gap`: see `data.splits`; a `val_gap` of None is wide enough for this `audio_context`.
    `action_units`: columns of `au.csv` that go into the conditions in addition to the blink. `soft_masks` cuts heads out along the
    folder's `alpha/`, if it has that; without it, or with false, along `parsing/`.
    """

    def __init__(
        self,
        root: str,
        audio_files: Sequence[str],
        audio_width: int,
        audio_window: int,
        audio_context: int = 8,
        cache: str = "memory",
        cache_dir: str | None = None,
        max_frames: int | None = None,
        audio_across_split: bool = True,
        motion_lags: Sequence[float] = (),
        action_units: Sequence[str] = (),
        soft_masks: bool = True,
        audio_ahead: int | None = None,
        train_seconds: float | None = None,
        split: str = PAPER,
        val_share: float = 0.1,
        val_gap: int | None = None,
    ):
        """Raises UserError for a setting out of range; the folder itself is read by `prepare`."""
        super().__init__()
        if cache not in CACHES:
            raise UserError(f"dataset.cache={cache} is unknown: choose one of {', '.join(CACHES)}")
        if max_frames is not None and max_frames < 2:
            raise UserError(f"dataset.max_frames={max_frames} must be at least 2: one frame to train, one to test")
        if train_seconds is not None and train_seconds <= 0:
            raise UserError(f"dataset.train_seconds={train_seconds} must be positive")
        check_split(split, val_share, val_gap)
        self.split, self.val_share, self.val_gap = split, val_share, val_gap
        self.root = Path(root).expanduser()
        self.audio_files = tuple(audio_files)
        self.audio_width, self.audio_window, self.audio_context = audio_width, audio_window, audio_context
        self.audio_ahead = audio_ahead
        self.train_seconds = train_seconds
        self.cache, self.cache_dir = cache, cache_dir
        self.max_frames = max_frames
        self.audio_across_split = audio_across_split
        self.motion_lags = tuple(motion_lags)
        self.action_units = tuple(action_units)
        self.soft_masks = soft_masks
        self._subject: Subject | None = None
        self._store: FrameStore | None = None

    def prepare(self) -> None:
        """Read, decode and check everything, once. Raises UserError for whatever cannot be trained on."""
        if self._store is not None:
            return
        subject = read_subject(
            self.root, self.audio_files, self.audio_width, self.audio_window, self.action_units, self.soft_masks
        )
        if self.max_frames is not None and self.max_frames < len(subject.frame_ids):
            subject = first_frames(subject, self.max_frames)
        if self.train_seconds is not None:
            subject = first_seconds(subject, self.train_seconds)
        if self.split != PAPER:
            subject = with_validation(subject, self.val_share, self.val_gap, self.audio_context)
        check_masks(subject)
        if not len(subject.vertices):
            subject = with_head_cloud(subject)
        for note in subject.notes:
            logger.warning("%s: %s", self.root, note)
        self._store = FrameStore(
            subject,
            self.cache,
            self.cache_dir,
            self.audio_context,
            self.audio_across_split,
            self.motion_lags,
            self.audio_ahead,
        )
        self._subject = subject

    def setup(self, stage: str | None = None) -> None:
        """Lightning's hook: `prepare`."""
        self.prepare()

    @property
    def subject(self) -> Subject:
        """Poses, splits, start points... of the portrait, after `prepare`."""
        if self._subject is None:
            raise RuntimeError("call prepare() before using the data module")
        return self._subject

    @property
    def store(self) -> FrameStore:
        """The frames themselves, after `prepare`."""
        if self._store is None:
            raise RuntimeError("call prepare() before using the data module")
        return self._store

    def use_poses(self, viewmats: Float[np.ndarray, "frame 4 4"]) -> None:
        """Replace the head poses of the frames; the images stay."""
        self._subject = replace(self.subject, viewmats=viewmats)
        self.store.use_poses(viewmats)

    @property
    def portraits(self) -> dict[str, PortraitDataModule]:
        """The portraits by name: this one."""
        return {self.root.resolve().name.replace(".", "_"): self}

    @cached_property
    def identity(self) -> dict[str, str]:
        """Hashes of what the files hold that its frames come from, see `subject_format.identity`."""
        return identity(self.subject)

    @property
    def notes(self) -> list[str]:
        """Notes on what was missing or unusual in the folder, and how it was handled."""
        return self.subject.notes

    def describe(self) -> dict:
        """Description of the subject, for `run_info.json`."""
        subject = self.subject
        return {
            "root": str(subject.root),
            "identity": self.identity,
            "num_frames": len(subject.frame_ids),
            "num_train": len(subject.train),
            "num_val": len(subject.val),
            "num_test": len(subject.test),
            "first_frame": int(subject.frame_ids[0]),
            "last_frame": int(subject.frame_ids[-1]),
            "width": subject.width,
            "height": subject.height,
            "fps": subject.fps,
            "focal": float(subject.K[0, 0]),
            "num_vertices": len(subject.vertices),
            "audio_file": subject.audio_file,
            "audio_shape": list(subject.audio.shape),
            "action_units": list(self.action_units),
            "head_masks": "alpha" if subject.soft_masks else "parsing",
            "cache": self.cache,
            "cache_bytes": self.store.num_bytes,
            "notes": list(subject.notes),
        }
