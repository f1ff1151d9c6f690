from __future__ import annotations

import numpy as np
import pytest
import soxr
from omegaconf import OmegaConf

from talksplat.audio import MelFeatures
from talksplat.audio.speech import SPEECH_RATE, speak
from talksplat.errors import UserError
from talksplat.media.sound import read_audio, write_wav
from talksplat.rendering.driving_audio import driving_audio_from_file, driving_audio_from_text
from talksplat.subject_format.audio_windows import rewindow
from tests.media.made_files import OTHERS, SPEECH, blocks_of, pictures_of, write_file

MEL = OmegaConf.create(
    {
        "name": "mel",
        "width": 20,
        "window": 16,
        "extractor": {"_target_": "talksplat.audio.MelFeatures", "num_mels": 20},
    }
)
STORED = OmegaConf.create({"name": "deepspeech", "width": 29, "window": 16, "extractor": None})


def test_a_recording_gives_the_features_the_avatar_was_trained_on(tmp_path):
    speech = soxr.resample(speak("Hello."), SPEECH_RATE, 24000)
    write_wav(tmp_path / "a.wav", speech, 24000)
    driving = driving_audio_from_file(tmp_path / "a.wav", MEL)
    expected = MelFeatures(num_mels=20)(read_audio(tmp_path / "a.wav"))
    np.testing.assert_array_equal(driving.features, expected)
    assert len(driving) == len(expected)
    assert abs(len(driving.sound) / driving.sound_rate - len(speech) / 24000) < 1e-3


def test_features_of_another_model_are_refused(tmp_path):
    write_wav(tmp_path / "a.wav", 0.1 * np.sin(np.arange(8000)))
    own = MelFeatures(num_mels=20).fingerprint()
    assert len(driving_audio_from_file(tmp_path / "a.wav", MEL, fingerprint=own)) == 13
    with pytest.raises(UserError, match="differ from those this avatar was trained with.*speech_model"):
        driving_audio_from_file(tmp_path / "a.wav", MEL, fingerprint=1.1 * own)


def test_rows_of_a_subject_folder_are_windowed(tmp_path):
    rows = np.random.default_rng(0).normal(size=(60, 29)).astype(np.float32)
    np.save(tmp_path / "f.npy", rows.reshape(30, 2, 29))
    assert np.array_equal(driving_audio_from_file(tmp_path / "f.npy", STORED).features, rewindow(rows, 16))


def test_text_is_spoken():
    driving = driving_audio_from_text("One two three.", "en", MEL)
    assert driving.features.shape[1:] == (16, 20)
    assert abs(len(driving) / 25 - len(driving.sound) / driving.sound_rate) < 0.05
    assert driving.features.max() > 1


def test_stored_features_and_the_sound_that_goes_with_them(tmp_path):
    stored = np.random.default_rng(0).normal(size=(30, 16, 29))
    np.save(tmp_path / "f.npy", stored)
    driving = driving_audio_from_file(tmp_path / "f.npy", STORED)
    assert driving.sound is None and driving.features.dtype == np.float32
    np.testing.assert_allclose(driving.features, stored, atol=1e-6)
    write_wav(tmp_path / "a.wav", np.zeros(16000))
    assert len(driving_audio_from_file(tmp_path / "f.npy", STORED, tmp_path / "a.wav").sound) == 48000


def test_wrong_features_are_explained(tmp_path):
    np.save(tmp_path / "f.npy", np.zeros((30, 16, 44)))
    with pytest.raises(UserError, match=r"f.npy has shape \(30, 16, 44\).*deepspeech.*16, 29"):
        driving_audio_from_file(tmp_path / "f.npy", STORED)
    np.save(tmp_path / "f.npy", np.full((30, 16, 29), np.inf))
    with pytest.raises(UserError, match="not finite"):
        driving_audio_from_file(tmp_path / "f.npy", STORED)
    np.save(tmp_path / "f.npy", np.zeros((0, 16, 29)))
    with pytest.raises(UserError, match="shape"):
        driving_audio_from_file(tmp_path / "f.npy", STORED)
    np.save(tmp_path / "f.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(UserError, match="not a NumPy array of numbers"):
        driving_audio_from_file(tmp_path / "f.npy", STORED)
    with pytest.raises(UserError, match="no such feature file"):
        driving_audio_from_file(tmp_path / "missing.npy", STORED)


def test_recordings_need_an_extractor(tmp_path):
    write_wav(tmp_path / "a.wav", np.zeros(16000))
    with pytest.raises(UserError, match="deepspeech.*audio=FEATURES.npy"):
        driving_audio_from_file(tmp_path / "a.wav", STORED)
    with pytest.raises(UserError, match="deepspeech.*text="):
        driving_audio_from_text("Hello", "en", STORED)
    with pytest.raises(UserError, match="sound="):
        driving_audio_from_file(tmp_path / "a.wav", MEL, sound=tmp_path / "a.wav")


def test_a_recording_with_several_tracks_drives_with_the_one_that_speaks_or_is_wanted(tmp_path, caplog):
    path = write_file(tmp_path / "a.mkv", pictures_of(1), blocks_of(OTHERS["hum"]), blocks_of(SPEECH))
    driving = driving_audio_from_file(path, MEL)
    assert np.array_equal(driving.features, driving_audio_from_file(path, MEL, track=2).features)
    assert np.array_equal(driving.sound, read_audio(path, 48000, track=2)) and len(caplog.records) == 1
    assert not np.array_equal(driving.features, driving_audio_from_file(path, MEL, track=1).features)
