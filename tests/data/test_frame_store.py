"""The three caches give the same batches, and refuse what does not fit."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from talksplat.data import frame_cache
from talksplat.data.frame_store import FrameStore
from talksplat.errors import UserError
from talksplat.lips import lip_measures
from talksplat.subject_format.subject import Subject, load_frame, read_subject

POSITIONS = torch.tensor([21, 0, 7, 7])


@pytest.fixture(scope="module")
def subject(tiny_subject: Path) -> Subject:
    return read_subject(tiny_subject, ["aud_mel.npy"], 8, 16)


@pytest.mark.parametrize("cache", ["memory", "device", "disk"])
def test_batch_holds_the_frames_asked_for(subject: Subject, cache: str, tmp_path: Path):
    store = FrameStore(subject, cache, tmp_path)
    batch = store.batch(POSITIONS, "cpu")
    assert batch.frame_ids.tolist() == POSITIONS.tolist() and len(store) == 22
    for i, position in enumerate(POSITIONS.tolist()):
        frame = load_frame(subject, position)
        np.testing.assert_array_equal(batch.original_u8[i], frame["original"])
        np.testing.assert_array_equal(batch.background_u8[i], frame["background"])
        np.testing.assert_array_equal(batch.head_mask[i], frame["head_mask"])
        target = np.where(frame["head_mask"][..., None], frame["original"], frame["background"])
        np.testing.assert_array_equal((batch.target[i] * 255).round().byte(), target)
    assert batch.head_mask.dtype == torch.bool
    np.testing.assert_array_equal(batch.lip_boxes, subject.lip_boxes[POSITIONS])
    np.testing.assert_array_equal(batch.conditions.viewmats, subject.viewmats[POSITIONS])
    np.testing.assert_array_equal(batch.conditions.eye, subject.eye[POSITIONS])
    np.testing.assert_array_equal(batch.conditions.Ks, np.stack([subject.K] * 4))


def test_lips_of_training_frames_alone_are_told(subject: Subject):
    everything = FrameStore(subject).conditions(torch.arange(len(subject.frame_ids)), "cpu").lip_measures
    assert torch.isfinite(everything[subject.train]).all() and torch.isnan(everything[subject.test]).all()
    expected = lip_measures(subject.landmarks[subject.train])
    assert np.abs(everything[subject.train].numpy() - expected).max() < 1e-6


def test_audio_context_reaches_over_the_split_or_not(subject: Subject):
    """GaussianTalker 1.5: the first held-out frame sees four empty windows there although earlier audio exists."""
    assert subject.test.tolist() == [20, 21]
    across = FrameStore(subject).conditions(torch.tensor([20]), "cpu").audio[0]
    np.testing.assert_array_equal(across[:6], subject.features[16:22])
    assert not across[6:].any()  # after the last row
    within = FrameStore(subject, audio_across_split=False)
    audio = within.conditions(torch.tensor([20, 19, 0]), "cpu").audio
    assert not audio[0, :4].any() and not audio[1, 5:].any() and not audio[2, :4].any()
    np.testing.assert_array_equal(audio[0, 4:6], subject.features[20:22])
    np.testing.assert_array_equal(audio[1, :5], subject.features[15:20])


def test_audio_context_follows_frame_numbers_over_gaps(subject: Subject):
    kept = subject.subset(np.array([0, 1, 2, 10, 11, 20]))
    audio = FrameStore(kept, audio_context=4).conditions(torch.tensor([3]), "cpu").audio[0]
    np.testing.assert_array_equal(audio, subject.features[8:12])


def test_disk_cache_is_built_once_and_again_when_the_subject_changes(tiny_copy: Path):
    def cached() -> dict[str, int]:
        folder = tiny_copy / ".cache"
        FrameStore(read_subject(tiny_copy, ["aud_mel.npy"], 8, 16), "disk")
        return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}

    first = cached()
    assert len(first) == 1 and cached() == first
    (tiny_copy / "ori_imgs/4.jpg").write_bytes((tiny_copy / "ori_imgs/5.jpg").read_bytes())
    os.utime(tiny_copy / "ori_imgs/4.jpg", ns=(1, 1))
    second = cached()
    assert len(second) == 2 and second.items() > first.items()
    store = FrameStore(read_subject(tiny_copy, ["aud_mel.npy"], 8, 16), "disk")
    batch = store.batch(torch.tensor([4, 5]), "cpu")
    assert torch.equal(batch.original_u8[0], batch.original_u8[1])


def test_disk_cache_leaves_nothing_when_a_frame_is_damaged(tiny_copy: Path):
    (tiny_copy / "ori_imgs/20.jpg").write_bytes(b"\xff\xd8 nothing")
    with pytest.raises(UserError, match="ori_imgs/20.jpg is cut short"):
        FrameStore(read_subject(tiny_copy, ["aud_mel.npy"], 8, 16), "disk")
    assert not (tiny_copy / ".cache").exists()


def test_disk_cache_is_not_mapped_into_memory_and_a_cut_file_is_named(tiny_copy: Path):
    store = FrameStore(read_subject(tiny_copy, ["aud_mel.npy"], 8, 16), "disk")
    store.batch(torch.arange(22), "cpu")
    (file,) = (tiny_copy / ".cache").iterdir()
    maps = Path("/proc/self/maps")
    assert not maps.exists() or file.name not in maps.read_text()  # mapped pages would count as the process's memory
    with file.open("r+b") as opened:
        opened.truncate(20 * 48 * 48 * 7 + 5)
    with pytest.raises(UserError, match=r"frames-.*ends within frame 20"):
        store.batch(torch.tensor([3, 20]), "cpu")


def test_frames_that_do_not_fit_into_memory(subject: Subject, monkeypatch: pytest.MonkeyPatch):
    needed = 22 * 48 * 48 * 7
    monkeypatch.setattr(frame_cache, "available_memory", lambda: needed - 1)
    with pytest.raises(UserError, match="set dataset.cache=disk"):
        FrameStore(subject, "memory")
    monkeypatch.setattr(frame_cache, "available_memory", lambda: needed)
    assert FrameStore(subject, "memory").num_bytes == needed


def test_available_memory_is_plausible():
    available = frame_cache.available_memory()
    assert available is None or 2**20 < available < 2**50


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_device_cache_gathers_on_the_gpu_without_a_sync(subject: Subject):
    store = FrameStore(subject, "device")
    expected = FrameStore(subject).batch(POSITIONS, "cpu")
    store.batch(POSITIONS, "cuda")  # moves the frames
    positions = POSITIONS.cuda()
    torch.cuda.set_sync_debug_mode("error")
    try:
        batch = store.batch(positions, "cuda")
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for name in ("original_u8", "background_u8", "head_mask", "lip_boxes"):
        assert torch.equal(getattr(batch, name).cpu(), getattr(expected, name))
    assert torch.equal(batch.conditions.audio.cpu(), expected.conditions.audio)
    assert store.batch(POSITIONS, "cpu").original_u8.device.type == "cpu"
