"""Which time reaches the position code, and what it adds (EGSTalker)."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from talksplat.config import compose, instantiate
from talksplat.data.open import open_subject
from talksplat.errors import UserError
from talksplat.models.conditioning.position_code import PeriodicPositionCode
from talksplat.rendering.driving_audio import DrivingAudio
from talksplat.rendering.render_sequence import speech_sequence, split_sequence
from talksplat.rendering.source_clip import open_source_clip
from talksplat.training.subject import subject_entry
from tests.helpers.runs import small_config
from tests.models.building import build, make_conditions, set_up

CPU = torch.device("cpu")


def code(axis: str, **settings) -> PeriodicPositionCode:
    return PeriodicPositionCode(8, axis, **settings).eval()


def test_sines_and_cosines_as_published():
    table = code("token", period=25).table
    for t in (0, 1, 24):
        for i in range(4):
            angle = t / 10000 ** (2 * i / 8)
            assert abs(table[t, 2 * i].item() - math.sin(angle)) < 1e-6
            assert abs(table[t, 2 * i + 1].item() - math.cos(angle)) < 1e-6


def test_along_tokens_it_tells_tokens_apart_and_no_frames():
    module, zeros = code("token"), torch.zeros(3, 4, 8)
    coded = module(zeros, None)
    assert torch.equal(coded, module.table[:4].expand(3, 4, 8))
    assert len({tuple(row.tolist()) for row in coded[0]}) == 4
    wrapped = code("token", period=3)(zeros, None)
    assert torch.equal(wrapped[:, 3], wrapped[:, 0]) and not torch.equal(wrapped[:, 2], wrapped[:, 0])


def test_along_time_it_tells_frames_apart_and_no_tokens():
    module = code("time", period=25)
    coded = module(torch.zeros(4, 2, 8), torch.tensor([0, 7, 25, 32]))
    assert torch.equal(coded[:, 0], coded[:, 1]) and torch.equal(coded[0], coded[2])  # the period wraps
    assert torch.equal(coded[1], coded[3]) and not torch.equal(coded[0], coded[1])


def test_dropout_in_training_alone():
    module = PeriodicPositionCode(64, dropout=0.5)
    tokens = torch.ones(9, 4, 64)
    assert ((module(tokens, None) == 0).float().mean() - 0.5).abs() < 0.1
    assert torch.equal(module.eval()(tokens, None), tokens + module.table[:4])


def test_settings_out_of_range_are_refused():
    for settings in ({"axis": "gaussian"}, {"period": 0}, {"width": 7}):
        with pytest.raises(UserError, match=f"{next(iter(settings))}={next(iter(settings.values()))!r}"):
            PeriodicPositionCode(**settings)


@pytest.mark.parametrize(("axis", "matters"), [("time", True), ("token", False)])
def test_frame_numbers_matter_along_time_alone(axis, matters):
    model = set_up(build("egstalker", (f"model.tokens.position_code.axis={axis}",))).eval()
    conditions = make_conditions(2)
    shown = [model(replace(conditions, frames=torch.tensor(f)), "deform", 0).means for f in ([3, 4], [28, 29], [5, 9])]
    assert torch.equal(shown[0], shown[1])  # one period later
    assert torch.equal(shown[0], shown[2]) != matters


def test_frame_numbers_come_from_the_video_or_count_new_speech(tiny_subject: Path):
    config = small_config(tiny_subject)
    data = open_subject(config)
    subject = data.subject
    positions = torch.tensor([2, 19])
    expected = torch.from_numpy(subject.frame_ids)[positions]
    assert torch.equal(data.store.conditions(positions, CPU).frames, expected)
    clip = open_source_clip(subject_entry(data), config.audio, None)
    held_out = split_sequence(clip, "test", 8).conditions(slice(None), CPU)
    assert torch.equal(held_out.frames, torch.from_numpy(subject.frame_ids[subject.test])) and held_out.frames[0] > 0
    camera = instantiate(compose("render", ["checkpoint=x"]).camera)
    speech = speech_sequence(clip, DrivingAudio(np.zeros((60, 16, 8), np.float32), None, 16000), camera, 8)
    assert torch.equal(speech.conditions(slice(40, 60), CPU).frames, torch.arange(40, 60))
