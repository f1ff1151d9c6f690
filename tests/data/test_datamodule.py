"""Batches for training and testing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from talksplat.data.datamodule import PortraitDataModule
from talksplat.data.sampler import TrainOrder
from talksplat.errors import UserError


@pytest.fixture(scope="module")
def data(tiny_subject: Path) -> PortraitDataModule:
    module = PortraitDataModule(str(tiny_subject), ("aud_mel.npy",), 8, 16)
    module.prepare()
    return module


def test_training_frames_only_each_once_an_epoch(data: PortraitDataModule):
    batches = list(data.train_batches(5, seed=1, start_step=0, num_steps=4, device="cpu"))
    seen = torch.cat([batch.frame_ids for batch in batches])
    assert sorted(seen.tolist()) == list(range(20)) and seen.tolist() != list(range(20))


def test_going_on_at_a_step_sees_what_would_have_been_seen(data: PortraitDataModule):
    whole = [batch.frame_ids.tolist() for batch in data.train_batches(6, 3, 0, 11, "cpu")]
    rest = [batch.frame_ids.tolist() for batch in data.train_batches(6, 3, 7, 4, "cpu")]
    assert whole[7:] == rest


def test_evaluation_is_in_the_order_of_the_video(data: PortraitDataModule):
    ids = [batch.frame_ids.tolist() for batch in data.eval_batches("train", 8, "cpu", limit=13)]
    assert ids == [list(range(8)), list(range(8, 13))]
    assert [batch.frame_ids.tolist() for batch in data.eval_batches("test", 8, "cpu")] == [[20, 21]]
    with pytest.raises(UserError, match="choose train, val or test"):
        next(data.eval_batches("testing", 8, "cpu"))


@pytest.mark.parametrize(
    ("max_frames", "train", "val"), [(11, 10, 1), (2, 1, 1), (21, 19, 2), (22, 20, 2), (99, 20, 2)]
)
def test_max_frames_keeps_held_out_frames_held_out(tiny_subject: Path, max_frames: int, train: int, val: int):
    module = PortraitDataModule(str(tiny_subject), ["aud_mel.npy"], 8, 16, max_frames=max_frames)
    module.prepare()
    subject = module.subject
    assert subject.frame_ids[subject.train].tolist() == list(range(train))
    assert subject.frame_ids[subject.test].tolist() == list(range(20, 20 + val))
    assert len(module.store) == len(subject.frame_ids) == len(subject.true_signals["blink"]) == train + val
    assert any("max_frames" in note for note in module.notes) == (max_frames < 22)
    batch = next(module.eval_batches("test", 1, "cpu"))
    assert batch.frame_ids.tolist() == [20]


@pytest.mark.parametrize(("seconds", "train"), [(0.4, 10), (0.04, 1), (60, 20)])
def test_train_seconds_keeps_the_first_and_all_held_out_frames(tiny_subject: Path, seconds: float, train: int):
    module = PortraitDataModule(str(tiny_subject), ["aud_mel.npy"], 8, 16, train_seconds=seconds)
    module.prepare()
    subject = module.subject
    assert subject.frame_ids[subject.train].tolist() == list(range(train))
    assert subject.frame_ids[subject.test].tolist() == [20, 21]
    assert any(f"{train} of 20 training frames" in note for note in module.notes)
    with pytest.raises(UserError, match="dataset.train_seconds=0 must be positive"):
        PortraitDataModule(str(tiny_subject), ["aud_mel.npy"], 8, 16, train_seconds=0)


def test_description_is_plain_json(data: PortraitDataModule):
    description = json.loads(json.dumps(data.describe()))
    assert description["num_train"] == 20 and description["audio_shape"] == [22, 16, 8]


def test_use_before_prepare_is_a_programming_error(tiny_subject: Path):
    with pytest.raises(RuntimeError, match="prepare"):
        _ = PortraitDataModule(str(tiny_subject), ["aud_mel.npy"], 8, 16).subject


def test_order_is_a_pure_function_of_seed_and_step():
    order = TrainOrder(10, 4, seed=0)
    forward = [order.positions(step).tolist() for step in range(8)]
    assert [TrainOrder(10, 4, seed=0).positions(step).tolist() for step in (7, 2, 5)] == [forward[i] for i in (7, 2, 5)]
    for epoch in range(4):  # two batches of four an epoch, two frames dropped
        assert len(set(forward[2 * epoch] + forward[2 * epoch + 1])) == 8
    assert len({tuple(batch) for batch in forward}) == 8
    assert forward != [TrainOrder(10, 4, seed=1).positions(step).tolist() for step in range(8)]


def test_a_batch_larger_than_the_clip_goes_round():
    positions = TrainOrder(3, 8, seed=0).positions(0)
    counts = torch.bincount(positions, minlength=3)
    assert len(positions) == 8 and counts.min() >= 2 and counts.max() <= 3
    with pytest.raises(UserError, match="at least 1"):
        TrainOrder(0, 8, seed=0)
