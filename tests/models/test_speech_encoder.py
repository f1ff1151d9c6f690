"""The speech model inside the avatar: hears the right samples, frozen until opened, rebuilt without its checkpoint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from talksplat.audio import SpeechModelFeatures, WaveformFeatures
from talksplat.audio.speech_checkpoint import architecture_of
from talksplat.errors import UserError
from talksplat.models.conditioning.audio_encoder import AudioEncoder
from talksplat.models.conditioning.speech_encoder import SpeechEncoder
from talksplat.subject_format.audio_windows import audio_windows
from tests.helpers.tiny_speech import HIDDEN, write_speech_model

CONTEXT = 16


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_speech_model(tmp_path_factory.mktemp("speech") / "wavlm", "wavlm"))


@pytest.fixture(scope="module")
def windows() -> torch.Tensor:
    noise = np.random.default_rng(0).normal(size=2 * 16000).astype(np.float32)
    return torch.from_numpy(WaveformFeatures()(noise))


def encoder(checkpoint: str | None, **changes) -> SpeechEncoder:
    return SpeechEncoder(320, 2, CONTEXT, checkpoint, **changes)


def test_frames_hear_the_samples_around_them(checkpoint: str, windows: torch.Tensor) -> None:
    """What reaches the head for a frame is close to what the features of the whole recording are there."""
    model = encoder(checkpoint)
    model.fit(windows)
    heard = []
    model.head.register_forward_pre_hook(lambda module, inputs: heard.append(inputs[0]))
    model.eval()(audio_windows(windows, torch.tensor([20, 25]), CONTEXT))
    rows = SpeechModelFeatures(checkpoint, HIDDEN, 2, 0, layer=-1, normalize=False)(windows.reshape(-1).numpy())
    expected = audio_windows(torch.from_numpy(rows), torch.tensor([20, 25]), 8)
    assert heard[0].shape == expected.shape == (2, 8, 2, HIDDEN)
    assert (heard[0] - expected).abs().max() < 0.05 * expected.std()
    shifted = audio_windows(torch.from_numpy(rows), torch.tensor([21, 26]), 8)
    assert (heard[0] - shifted).abs().mean() > 0.5 * expected.std()


def test_fit_standardises_what_the_head_hears(checkpoint: str, windows: torch.Tensor) -> None:
    model = encoder(checkpoint)
    before = model.head.mean.clone()
    model.fit(windows)
    rows = torch.from_numpy(SpeechModelFeatures(checkpoint, HIDDEN, 2, 0, -1, False)(windows.reshape(-1).numpy()))
    torch.testing.assert_close(model.head.mean, rows.flatten(0, 1).mean(0), atol=1e-4, rtol=1e-4)
    assert not torch.equal(model.head.mean, before)


def test_only_opened_layers_learn_and_drop(checkpoint: str, windows: torch.Tensor) -> None:
    model = encoder(checkpoint)
    model.fit(windows)
    model.train()
    audio = audio_windows(windows, torch.arange(3), CONTEXT)
    assert torch.equal(model(audio), model(audio))  # frozen: nothing random, although the model is in training
    model(audio).sum().backward()
    assert all(parameter.grad is None for parameter in model.backbone.parameters())
    model.unfreeze(1)
    assert not torch.equal(model(audio), model(audio))  # the opened layer's dropout
    model(audio).square().sum().backward()
    touched = {name for name, parameter in model.backbone.named_parameters() if parameter.grad is not None}
    opened = {name for name, _ in model.backbone.named_parameters() if name.startswith("encoder.layers.1.")}
    assert touched and touched == opened
    model.unfreeze(0)
    assert not any(parameter.requires_grad for parameter in model.backbone.parameters())
    with pytest.raises(UserError, match="unfreeze_audio_layers=3, but the speech model has 2 layers"):
        model.unfreeze(3)


def test_the_architecture_alone_rebuilds_it(checkpoint: str, windows: torch.Tensor) -> None:
    model = encoder(checkpoint)
    model.fit(windows)
    model.eval()
    audio = audio_windows(windows, torch.arange(3), CONTEXT)
    again = encoder("/gone", architecture=architecture_of(Path(checkpoint)))
    again.load_state_dict(model.state_dict())
    assert torch.equal(again.eval()(audio), model(audio))
    with pytest.raises(UserError, match="no speech model in /gone"):
        again.fit(windows)
    scratch = encoder(None, architecture=architecture_of(Path(checkpoint)))
    scratch.fit(windows)
    assert not torch.equal(scratch.eval()(audio), model(audio))


def test_what_does_not_fit_is_named(checkpoint: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="audio=waveform"):
        SpeechEncoder(32, 16, 8, checkpoint)
    with pytest.raises(UserError, match="listen=20 must be 1 to context=16"):
        encoder(checkpoint, listen=20)
    with pytest.raises(UserError, match="give checkpoint="):
        encoder(None)
    with pytest.raises(UserError, match="none that transformers knows"):
        encoder(None, architecture={"model_type": "unheard_of"})
    with pytest.raises(UserError, match="a row every 640 samples"):
        encoder(str(write_speech_model(tmp_path / "slow", conv_stride=(5, 2, 2, 2, 2, 2, 4))))
    with pytest.raises(UserError, match=r"\(8, 2, 320\)"):
        encoder(checkpoint)(torch.zeros(1, 8, 2, 320))


@pytest.mark.parametrize(("width", "window"), [(1024, 2), (44, 16), (768, 1)])
def test_the_audio_encoder_takes_any_width_and_window(width: int, window: int) -> None:
    audio = torch.randn(3, 8, window, width)
    model = AudioEncoder(width, window)
    model.fit(audio[:, 4])
    before = model(audio)
    assert before.shape == (3, 32) and before.std(0).mean() > 0.1
    audio[:, 4, -1] += 1  # the last row of the frame's own window is heard as well
    assert (model(audio) - before).abs().max() > 1e-3
