"""The sound is moved to the lips where its offset is certain, and by exactly what the settings say otherwise."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from talksplat.audio import MelFeatures
from talksplat.errors import UserError
from talksplat.lips.sync import SoundOffset
from talksplat.media.sound import read_audio
from talksplat.preprocess.faces import watch
from talksplat.preprocess.sound_sync import SoundSync, load_offset, loudness, move_earlier, save_offset, shift_for


def offset(seconds: float | None, confident: bool = True) -> SoundOffset:
    return SoundOffset(seconds, confident, 0.6, 0.02, np.linspace(-0.5, 0.5, 51), np.linspace(0, 1, 51))


def test_shift_is_what_is_certain_or_wanted():
    assert shift_for("auto", offset(0.105)) == 105 and shift_for("auto", offset(-0.07)) == -70
    assert shift_for("auto", offset(0.012)) == 0  # less than half a frame
    assert shift_for("auto", offset(0.3, confident=False)) == shift_for("auto", offset(None, confident=False)) == 0
    assert shift_for(0, offset(0.3)) == 0 and shift_for(-40, offset(0.3)) == -40


def test_sound_is_moved_by_milliseconds():
    samples = np.arange(1, 16001, dtype=np.float32)
    earlier, later = move_earlier(samples, 100), move_earlier(samples, -100)
    assert np.array_equal(earlier[:-1600], samples[1600:]) and not earlier[-1600:].any()
    assert not later[:1600].any() and np.array_equal(later[1600:], samples[:-1600])
    assert np.array_equal(move_earlier(samples, 0), samples)


def test_offsets_are_kept_on_disk(tmp_path: Path):
    for found in (offset(0.1), offset(None, False)):
        assert save_offset(tmp_path, found)["certain"] == found.confident
        again = load_offset(tmp_path)
        assert (again.offset, again.confident, again.spread) == (found.offset, found.confident, found.spread)
        assert np.array_equal(again.scores, found.scores)


def test_a_prior_of_other_settings_is_not_used():
    """Mel of another width has no prior; what is best here takes its place."""
    own = MelFeatures(num_mels=32)
    assert SoundSync(own, None).features is own
    assert SoundSync(MelFeatures(num_mels=16), None).features is not own


def test_loudness_is_by_frame():
    samples = np.zeros(10 * 16000, np.float32)
    samples[16000:32000] = 0.3 * np.sin(np.arange(16000))
    loud = loudness(samples, 300)
    assert loud.shape == (300,) and loud[28:47].min() > 0.1 and not loud[60:].any()


@pytest.mark.parametrize("wanted", ["soon", 5000, 1.5, True])
def test_a_nonsense_shift_is_refused(wanted):
    from talksplat.preprocess.pipeline import Preprocessor

    with pytest.raises(UserError, match="clip.sound_shift_ms"):
        Preprocessor(None, None, None, MelFeatures(), sound_shift_ms=wanted)


@pytest.mark.clips
@pytest.mark.assets
def test_a_real_clip_moves_with_its_sound():
    from talksplat.media.assets import face_landmarker_path
    from talksplat.media.video import read_frames
    from talksplat.preprocess.clip_plan import plan_clip

    clip = Path(os.environ["TALKSPLAT_CLIPS"]) / "hdtf_katie_hill.mp4"
    faces = watch(read_frames(clip), face_landmarker_path(None))
    plan, samples = plan_clip(faces), read_audio(clip)
    sync = SoundSync(MelFeatures(num_mels=16), None)
    found = {late: sync.find(move_earlier(samples, -late), plan, faces) for late in (-200, 0, 200)}
    if "WhisperFeatures" in type(sync.features).__name__:
        assert all(one.confident for one in found.values())
    for late in (-200, 200):
        assert found[late].offset - found[0].offset == pytest.approx(late / 1000, abs=0.02)
