"""Features are kept by content, and can be added to a folder that is there."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from talksplat.audio import MelFeatures, SpeechModelFeatures, WaveformFeatures
from talksplat.config import compose, instantiate
from talksplat.errors import UserError
from talksplat.media.sound import read_audio, write_wav
from talksplat.preprocess.__main__ import main
from talksplat.preprocess.cache import StepCache
from talksplat.preprocess.feature_step import FEATURES_FILE, feature_name, keep_features
from tests.helpers.tiny_speech import HIDDEN, LETTERS, write_speech_model

SOUND = (0.1 * np.random.default_rng(0).normal(size=16000)).astype(np.float32)


@pytest.fixture(scope="module")
def hubert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_speech_model(tmp_path_factory.mktemp("speech") / "hubert", "hubert")


@pytest.fixture
def folder(tiny_subject: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_subject, tmp_path / "clip")


def state(folder: Path) -> dict[str, tuple[int, bytes]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_kept_until_sound_length_settings_or_checkpoint_change(hubert: Path, tmp_path: Path) -> None:
    cache = StepCache(tmp_path / "work")

    def cached(sound=SOUND, frames=25, checkpoint=hubert, layer=-1) -> bool:
        features = SpeechModelFeatures(str(checkpoint), HIDDEN, 2, 0, layer)
        step = keep_features(cache, "hu", features, sound, frames, Path("a.wav"))
        stored = np.load(step.folder / FEATURES_FILE)
        np.testing.assert_array_equal(stored, features(sound, frames))
        return step.cached

    assert not cached() and cached()
    assert cached(checkpoint=shutil.copytree(hubert, tmp_path / "moved"))
    assert not cached(frames=30)
    assert not cached(frames=30, sound=0.5 * SOUND)
    assert not cached(frames=30, sound=0.5 * SOUND, layer=1)
    other = write_speech_model(tmp_path / "other", "hubert", conv_bias=True)
    assert not cached(frames=30, sound=0.5 * SOUND, layer=1, checkpoint=other)


def test_kinds_are_kept_side_by_side(tmp_path: Path) -> None:
    cache = StepCache(tmp_path)
    for _ in range(2):
        mel = keep_features(cache, "mel", MelFeatures(), SOUND, 25, Path("a.wav"))
        wave = keep_features(cache, "wave", WaveformFeatures(), SOUND, 25, Path("a.wav"))
    assert mel.cached and wave.cached


def test_waveform_rows_are_the_recording() -> None:
    windows = WaveformFeatures()(3 * SOUND + 0.2, num_frames=30)
    assert windows.shape == (30, 2, 320)
    joined = windows.reshape(-1)
    assert abs(joined[:16000].mean()) < 1e-3 and abs(joined[:16000].std() - 1) < 1e-3
    assert np.corrcoef(joined[:16000], SOUND)[0, 1] > 0.9999
    assert not joined[16000:].any()


def test_the_command_adds_a_file_and_changes_nothing_else(hubert: Path, folder: Path, capsys) -> None:
    before = state(folder)
    settings = [f"features={folder}", "audio=hubert", f"audio.extractor.checkpoint={hubert}", f"audio.width={HIDDEN}"]
    main(settings)
    assert np.load(folder / "aud_hu.npy").shape == (22, 2, HIDDEN)
    after = state(folder)
    assert {name: after[name] for name in before} == before and after.keys() - before.keys() == {
        "aud_hu.npy",
        "aud_hu.json",
    }
    assert not folder.with_name("clip.work").exists()
    samples = read_audio(folder / "aud.wav")
    expected = SpeechModelFeatures(str(hubert), HIDDEN, 2, 0, -1)(samples, 22)
    np.testing.assert_array_equal(np.load(folder / "aud_hu.npy"), expected)
    assert "audio=hubert" in capsys.readouterr().out

    with pytest.raises(SystemExit):
        main(settings)
    assert "overwrite=true" in capsys.readouterr().err
    (folder / "aud_hu.npy").write_bytes(b"old")
    main([*settings, "overwrite=true", f"work_dir={folder.parent / 'work'}"])
    np.testing.assert_array_equal(np.load(folder / "aud_hu.npy"), expected)
    assert (folder.parent / "work" / "features_hu" / FEATURES_FILE).is_file()


def test_sound_shorter_than_the_video_is_filled_with_silence(folder: Path) -> None:
    write_wav(folder / "aud.wav", SOUND[:8000])
    main([f"features={folder}", "overwrite=true"])
    assert len(np.load(folder / "aud_mel.npy")) == 22


def test_what_features_need(folder: Path, tmp_path: Path, capsys) -> None:
    def refused(*arguments: str) -> str:
        with pytest.raises(SystemExit):
            main(list(arguments))
        message = capsys.readouterr().err
        assert message.count("\n") == 1
        return message

    assert "no subject folder" in refused(f"features={tmp_path / 'none'}", "audio=waveform")
    assert "cannot be computed here" in refused(f"features={folder}", "audio=deepspeech")
    assert "not features and video" in refused(f"features={folder}", "video=a.mp4")
    assert "overwrite goes with" in refused("video=a.mp4", "subject=b", "overwrite=true")
    write_wav(folder / "aud.wav", np.zeros(16000))
    assert "aud.wav is silent" in refused(f"features={folder}", "audio=waveform")
    (folder / "aud.wav").unlink()
    assert "aud.wav is missing" in refused(f"features={folder}", "audio=waveform")
    assert not (folder / "aud_wave.npy").exists()


def test_groups_state_what_their_extractor_makes(hubert: Path) -> None:
    for group in ("wav2vec2", "wav2vec2_hidden", "hubert", "wavlm"):
        settings = [f"audio={group}", f"audio.extractor.checkpoint={hubert}", "audio.extractor.layer=-1"]
        config = compose("preprocess", ["features=x", *settings, f"audio.width={HIDDEN}"])
        extractor = instantiate(config.audio.extractor)
        assert (extractor.width, extractor.window) == (HIDDEN, config.audio.window)
        assert feature_name(list(config.audio.files)) in ("eo", "w2v", "hu", "wavlm")
    with pytest.raises(UserError, match="audio.extractor.window is 16, but audio.window is 8"):
        compose("preprocess", ["features=x", "audio=mel", "audio.window=8"])
    with pytest.raises(UserError, match="audio.files"):
        compose("preprocess", ["features=x", "audio.files=[]"])
    with pytest.raises(UserError, match="aud_NAME.npy"):
        feature_name(["features.npy"])
    assert compose("preprocess", ["features=x", "audio=wav2vec2"]).audio.width == LETTERS
