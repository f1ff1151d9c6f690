"""Soft masks from folder to batch: with and without `alpha/`, in memory and on disk, and when a file is missing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from talksplat.data.datamodule import PortraitDataModule
from talksplat.data.frame_cache import pack_frame, unpack_frames
from talksplat.data.frame_store import FrameStore
from talksplat.errors import UserError
from talksplat.subject_format.images import encode_image
from talksplat.subject_format.subject import Subject, load_frame, read_subject
from talksplat.subject_format.writer import SubjectWriter


@pytest.fixture
def soft_root(tiny_copy: Path) -> Path:
    """The tiny subject with alpha: the head's outline blurred."""
    (tiny_copy / "alpha").mkdir()
    for path in (tiny_copy / "parsing").iterdir():
        head = (cv2.imread(str(path)) == (255, 0, 0)).all(-1)
        alpha = cv2.GaussianBlur(255 * head.astype(np.float32), (0, 0), 1.5)
        (tiny_copy / "alpha" / path.name).write_bytes(encode_image(alpha.round().astype(np.uint8), ".png"))
    return tiny_copy


def read(root: Path, soft: bool = True) -> Subject:
    return read_subject(root, ["aud_mel.npy"], 8, 16, soft_masks=soft)


def test_every_byte_survives_packing_to_seven_bits():
    alpha = np.arange(256, dtype=np.uint8).reshape(16, 16)
    mask = np.random.default_rng(0).random((16, 16)) > 0.5
    image = np.zeros((16, 16, 3), np.uint8)
    packed = pack_frame({"original": image, "background": image, "head_mask": mask, "head_alpha": alpha})
    found = unpack_frames(torch.from_numpy(packed)[None], 16, 16, soft_masks=True)
    np.testing.assert_array_equal(found["head_mask"][0], mask)
    difference = found["head_alpha_u8"][0].numpy().astype(int) - alpha
    assert np.abs(difference).max() <= 1 and difference[0, 0] == difference[-1, -1] == 0


@pytest.mark.parametrize("cache", ["memory", "disk"])
def test_batches_hold_alpha_and_hard_mask(soft_root: Path, tmp_path: Path, cache: str):
    subject = read(soft_root)
    batch = FrameStore(subject, cache, tmp_path / "cache").batch(torch.tensor([3, 0]), "cpu")
    for row, position in enumerate((3, 0)):
        frame = load_frame(subject, position)
        assert np.abs(batch.head_alpha_u8[row].numpy().astype(int) - frame["head_alpha"]).max() <= 1
        np.testing.assert_array_equal(batch.head_mask[row], frame["head_mask"])
    hard = FrameStore(read(soft_root, soft=False), cache, tmp_path / "cache").batch(torch.tensor([3, 0]), "cpu")
    assert hard.head_alpha_u8 is None
    assert torch.equal(hard.original_u8, batch.original_u8) and torch.equal(hard.head_mask, batch.head_mask)
    assert not torch.equal(hard.target, batch.target)
    assert torch.equal(replace(batch, head_alpha_u8=None).target, hard.target)


def test_a_folder_without_alpha_is_as_before(tiny_subject: Path):
    subject = read(tiny_subject)
    assert not subject.soft_masks and "head_alpha" not in load_frame(subject, 0) and subject.notes == []
    assert FrameStore(subject).batch(torch.tensor([0]), "cpu").head_alpha_u8 is None


@pytest.mark.parametrize("soft, kind", [(True, "alpha"), (False, "parsing")])
def test_the_setting_reaches_the_batches(soft_root: Path, soft: bool, kind: str):
    data = PortraitDataModule(str(soft_root), ["aud_mel.npy"], 8, 16, soft_masks=soft)
    data.prepare()
    batch = next(iter(data.eval_batches("test", 1, "cpu")))
    assert (batch.head_alpha_u8 is not None) == soft and data.describe()["head_masks"] == kind


def test_a_missing_or_odd_alpha_is_named(soft_root: Path):
    (soft_root / "alpha" / "4.png").write_bytes(encode_image(np.zeros((8, 8), np.uint8), ".png"))
    with pytest.raises(UserError, match=r"alpha/4.png is 8x8 pixels"):
        FrameStore(read(soft_root))
    (soft_root / "alpha" / "4.png").unlink()
    with pytest.raises(UserError, match=r"alpha/4.png is missing"):
        read(soft_root)
    assert len(FrameStore(read(soft_root, soft=False))) == 22


def test_the_writer_writes_grey_pictures(tmp_path: Path):
    image, labels = np.zeros((8, 10, 3), np.uint8), np.zeros((8, 10), np.uint8)
    alpha = np.arange(80, dtype=np.uint8).reshape(8, 10) * 3
    writer = SubjectWriter(tmp_path / "subject", 10, 8)
    points = np.zeros((68, 2))
    writer.write_frame(0, image, labels, np.zeros((8, 10, 4), np.uint8), points, alpha)
    found = cv2.imread(str(writer.folder / "alpha" / "0.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(found, alpha)
    with pytest.raises((ValueError, TypeError), match="head.alpha"):
        writer.write_frame(1, image, labels, np.zeros((8, 10, 4), np.uint8), points, alpha[:4])
    writer.abort()
