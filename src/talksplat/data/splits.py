"""Splits: frames for training, for choosing (validation), and for reporting (test).

`paper`: train and test frames as the subject's files say; previews, best checkpoints and searches have the test frames to look
at. `three`: validation frames are cut from the end of the training frames, and the test frames choose nothing.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from talksplat.errors import UserError
from talksplat.subject_format.subject import Subject
from talksplat.subject_format.transforms import split_positions

PAPER, THREE = "paper", "three"
WINDOW_FRAMES = 8  # of one audio window: 0.32 s


def check_split(split: str, val_share: float, val_gap: int | None) -> None:
    """Raise UserError for settings out of range."""
    if split not in (PAPER, THREE):
        raise UserError(f"dataset.split={split} is unknown: choose {PAPER} or {THREE}")
    if not 0 < val_share < 1:
        raise UserError(f"dataset.val_share={val_share} is a share of the training frames: more than 0 and less than 1")
    if val_gap is not None and val_gap < 0:
        raise UserError(f"dataset.val_gap={val_gap} counts frames: at least 0, or null")


def with_validation(subject: Subject, share: float, gap: int | None, audio_context: int) -> Subject:
    """Validation frames cut from the end of the training frames.

    Args:
        share: of the training frames.
        gap: frames before them that are left out; None: as many as keep sound from being in audio windows of both.
        audio_context: windows around a frame.

    Raises:
        UserError: no training frame is left.
    """
    gap = audio_context + WINDOW_FRAMES if gap is None else gap
    val = subject.train[-max(1, round(share * len(subject.train))) :]
    numbers = subject.frame_ids[subject.train]
    train = subject.train[numbers < subject.frame_ids[val[0]] - gap]
    if not len(train):
        raise UserError(
            f"dataset.split={THREE} leaves no training frame in {subject.root}: of {len(numbers)}, {len(val)} are for validation "
            f"after a gap of {gap}; lower dataset.val_share or dataset.val_gap, or take dataset.split={PAPER}"
        )
    left_out = len(numbers) - len(train) - len(val)
    note = f"dataset.split={THREE}: {len(train)} training frames, {len(val)} for validation, {left_out} between them are left out"
    return replace(subject, train=train, val=val, notes=[*subject.notes, note])


def first_frames(subject: Subject, max_frames: int) -> Subject:
    """The first frames of both splits, so that held-out frames stay held out."""
    num_train, num_test = (len(part) for part in split_positions(max_frames))
    # If a split has too few frames, the other gets its share.
    num_test = min(len(subject.test), max(num_test, max_frames - len(subject.train)))
    num_train = min(len(subject.train), max_frames - num_test)
    kept = np.sort(np.concatenate([subject.train[:num_train], subject.test[:num_test]]))
    limited = subject.subset(kept)
    limited.notes.append(
        f"dataset.max_frames={max_frames}: {num_train} training and {num_test} held-out frames are used"
    )
    return limited


def first_seconds(subject: Subject, seconds: float) -> Subject:
    """The training frames of the first seconds, and all held-out ones. Raises UserError if no training frame is left."""
    numbers = subject.frame_ids[subject.train]
    kept = subject.train[numbers < numbers[:1] + seconds * subject.fps]
    if not len(kept):
        raise UserError(f"dataset.train_seconds={seconds} leaves no training frame in {subject.root}")
    limited = subject.subset(np.sort(np.concatenate([kept, subject.test])))
    limited.notes.append(f"dataset.train_seconds={seconds:g}: {len(kept)} of {len(numbers)} training frames are used")
    return limited
