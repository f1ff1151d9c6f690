from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import soxr

from talksplat.audio import MelFeatures
from talksplat.audio.speech import SPEECH_RATE, speak
from talksplat.errors import UserError


def click(at: float, seconds: float = 2.0, length: int = 320) -> np.ndarray:
    """Noise of `length` samples with its middle at `at` seconds."""
    samples = np.zeros(int(seconds * 16000), np.float32)
    first = round(at * 16000) - length // 2
    samples[first : first + length] = np.random.default_rng(0).normal(0, 0.3, length)
    return samples


@pytest.mark.parametrize("frame", [5, 17, 30])
def test_window_is_centred_on_the_time_of_its_frame(frame):
    features = MelFeatures()(click(frame / 25))
    assert features.shape == (50, 16, 32) and features.dtype == np.float32
    energy = features[frame].mean(-1)
    centre = (energy * np.arange(16)).sum() / energy.sum()
    assert abs(centre - 7.5) < 0.1  # the middle between rows 2k-1 and 2k, 2 ms at most away
    others = np.delete(features, np.arange(frame - 5, frame + 6), axis=0)
    assert np.abs(others).max() == 0


def test_windows_are_the_same_rows_two_apart():
    mel = MelFeatures(num_mels=20)
    samples = soxr.resample(speak("Hello there."), SPEECH_RATE, 16000)
    rows, windows = mel.rows(samples), mel(samples)
    assert len(windows) == -(-len(rows) // 2)
    for k in (4, 10, len(windows) - 5):
        np.testing.assert_array_equal(windows[k], rows[2 * k - 8 : 2 * k + 8])
    np.testing.assert_array_equal(windows[0, :8], 0)
    np.testing.assert_array_equal(windows[0, 8:], rows[:8])


def test_number_of_frames_can_be_asked_for():
    mel = MelFeatures()
    samples = click(0.5, seconds=1.0)
    assert len(mel(samples)) == 25
    longer = mel(samples, num_frames=40)
    assert longer.shape == (40, 16, 32)
    np.testing.assert_array_equal(longer[:25], mel(samples))
    np.testing.assert_array_equal(longer[30:], 0)  # silence
    np.testing.assert_array_equal(mel(samples, num_frames=10), longer[:10])
    assert len(mel(np.zeros(100, np.float32))) == 1


def test_values_do_not_depend_on_the_rest_of_the_clip():
    mel = MelFeatures()
    speech = soxr.resample(speak("One, two, three, four."), SPEECH_RATE, 16000)
    louder_end = np.concatenate([speech, np.random.default_rng(0).normal(0, 1, 16000).astype(np.float32)])
    count = len(speech) // 640 - 5
    np.testing.assert_allclose(mel(louder_end)[:count], mel(speech)[:count], atol=1e-6)


def test_speech_has_unit_range_and_silence_is_zero():
    mel = MelFeatures()
    speech = mel.rows(soxr.resample(speak("Hello world, this is a talking head. How are you?"), SPEECH_RATE, 16000))
    assert 0.3 < speech.mean() < 1.2 and 0.3 < speech.std() < 0.9 and 1.5 < speech.max() < 3 and speech.min() >= 0
    assert not mel.rows(np.zeros(16000, np.float32)).any()
    assert np.abs(mel.rows(np.random.default_rng(0).normal(0, 1e-5, 16000).astype(np.float32))).max() < 0.05


def test_mel_bands_follow_the_pitch():
    time = np.arange(16000) / 16000
    low, high = (MelFeatures().rows(0.3 * np.sin(2 * np.pi * f * time)).mean(0) for f in (200, 3000))
    assert low.argmax() < 5 < 15 < high.argmax()


def test_other_rates_stay_centred():
    features = MelFeatures(window=32, rate=100)(click(0.8, length=160))
    energy = features[20].mean(-1)
    assert features.shape == (50, 32, 32)
    assert abs((energy * np.arange(32)).sum() / energy.sum() - 15.5) < 0.2


@pytest.mark.parametrize(
    "samples", [np.zeros(0, np.float32), np.zeros((2, 100), np.float32), np.full(100, np.nan, np.float32)]
)
def test_bad_samples_are_refused(samples):
    with pytest.raises(UserError, match="one channel of finite samples"):
        MelFeatures()(samples)


@pytest.mark.parametrize("arguments", [{"num_mels": 0}, {"window": 15}, {"rate": 60}, {"rate": 30}])
def test_bad_settings_are_named(arguments):
    with pytest.raises(UserError, match=next(iter(arguments))):
        MelFeatures(**arguments)


def test_module_loads_without_librosa():
    code = "import sys, talksplat.audio; sys.exit('librosa' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
