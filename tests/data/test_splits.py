"""Which frames train, which choose, and which are reported."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from talksplat.data.datamodule import PortraitDataModule
from talksplat.errors import UserError


def opened(root: Path, **settings) -> PortraitDataModule:
    module = PortraitDataModule(str(root), ["aud_mel.npy"], 8, 16, **settings)
    module.prepare()
    return module


def numbers(module: PortraitDataModule) -> tuple[list[int], list[int], list[int]]:
    subject = module.subject
    return tuple(subject.frame_ids[part].tolist() for part in (subject.train, subject.val, subject.test))


def test_papers_have_two_splits_and_choose_on_what_they_report(tiny_subject: Path) -> None:
    for module in (opened(tiny_subject), opened(tiny_subject, split="paper", val_share=0.5, val_gap=9)):
        assert numbers(module) == (list(range(20)), [], [20, 21])
        assert module.subject.chosen_on == "test" and module.subject.choosing is module.subject.test
        assert not any("dataset.split" in note for note in module.notes)


def test_validation_frames_are_cut_from_the_end_of_the_training_frames(tiny_subject: Path) -> None:
    module = opened(tiny_subject, split="three", val_share=0.2, val_gap=3)
    assert numbers(module) == (list(range(13)), [16, 17, 18, 19], [20, 21])
    subject = module.subject
    assert subject.chosen_on == "val" and subject.frame_ids[subject.choosing].tolist() == [16, 17, 18, 19]
    assert "dataset.split=three: 13 training frames, 4 for validation, 3 between them are left out" in module.notes
    assert torch.isnan(torch.from_numpy(subject.lip_measures[subject.val])).all()
    assert [batch.frame_ids.tolist() for batch in module.eval_batches("val", 8, "cpu")] == [[16, 17, 18, 19]]
    described = module.describe()
    assert [described[f"num_{split}"] for split in ("train", "val", "test")] == [13, 4, 2]


def test_the_gap_is_as_wide_as_the_audio_windows_of_a_frame(tiny_subject: Path) -> None:
    module = opened(tiny_subject, split="three", audio_context=2)
    assert numbers(module) == (list(range(8)), [18, 19], [20, 21])


def test_limits_come_first(tiny_subject: Path) -> None:
    cut = {"split": "three", "val_share": 0.2, "val_gap": 1}
    assert numbers(opened(tiny_subject, train_seconds=0.4, **cut)) == (list(range(7)), [8, 9], [20, 21])
    assert numbers(opened(tiny_subject, max_frames=11, **cut)) == (list(range(7)), [8, 9], [20])


def test_sound_of_the_other_splits_can_be_kept_out(tiny_subject: Path) -> None:
    module = opened(tiny_subject, split="three", val_share=0.2, val_gap=3, audio_across_split=False)
    heard = module.store.conditions(torch.tensor([12, 16, 19]), "cpu").audio.abs().sum((2, 3)) > 0
    assert heard[0].tolist() == [True] * 5 + [False] * 3  # frames 8 to 15, of which 13 to 15 are no training frames
    assert heard[1].tolist() == [False] * 4 + [True] * 4
    assert heard[2].tolist() == [False] + [True] * 4 + [False] * 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"split": "two"}, "dataset.split=two is unknown: choose paper or three"),
        ({"val_share": 0.0}, "dataset.val_share=0.0 is a share"),
        ({"val_gap": -1}, "dataset.val_gap=-1 counts frames"),
        ({"split": "three", "val_gap": 18}, "leaves no training frame.*of 20, 2 are for validation after a gap of 18"),
    ],
)
def test_what_cannot_be(tiny_subject: Path, settings: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        opened(tiny_subject, **settings)
