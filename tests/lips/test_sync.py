"""The offset of a sound is found to half a row, and nothing is claimed where lips do not follow it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from talksplat.lips import LipClip, LipPrior, find_offset
from talksplat.lips.fit import fit
from tests.lips.people import RECIPE, World


@pytest.fixture(scope="module")
def world() -> World:
    return World(seed=3)


@pytest.fixture(scope="module")
def prior(world) -> LipPrior:
    return fit(world.people(), RECIPE)


def found(prior: LipPrior, clip: LipClip):
    return find_offset(prior, clip.rows, clip.frames, clip.measures)


@pytest.mark.parametrize("late", [-12, -3, 0, 1, 8, 20])
def test_a_shift_of_the_sound_is_found(world, prior, late):
    sync = found(prior, world.clip("new", seconds=8, late=late, noise=1.0))
    assert sync.confident and sync.offset == pytest.approx(0.02 * late, abs=0.01)
    assert sync.score > 0.5 and sync.spread <= 0.04
    assert sync.lags[sync.scores.argmax()] == pytest.approx(0.02 * late)


def test_frames_without_a_face_do_not_count(world, prior):
    clip = world.clip("new", late=6)
    measures = clip.measures.copy()
    measures[50:80] = np.nan
    sync = found(prior, replace(clip, measures=measures))
    assert sync.confident and sync.offset == pytest.approx(0.12, abs=0.01)


def test_nothing_is_claimed_for_other_sound_silence_a_still_mouth_or_a_short_clip(world, prior):
    clip = world.clip("new")
    assert not found(prior, replace(clip, rows=world.rows(12))).confident
    still = replace(clip, measures=np.repeat(clip.measures[:1], len(clip.frames), 0))
    silent = replace(clip, rows=np.zeros_like(clip.rows))
    short = replace(clip, frames=clip.frames[:90], measures=clip.measures[:90])
    blind = replace(clip, measures=np.full_like(clip.measures, np.nan))
    for nothing in (still, silent, short, blind, replace(clip, rows=clip.rows[:100])):
        sync = found(prior, nothing)
        assert sync.offset is None and not sync.confident and sync.score == 0


def test_a_peak_at_the_end_of_the_search_is_not_trusted(world, prior):
    assert not found(prior, world.clip("new", late=27, noise=0.1)).confident
