"""Features by speech models: at the right time, the same in chunks, and clear words for what is no such model."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from talksplat.audio import SpeechModelFeatures
from talksplat.audio.row_grid import RowGrid
from talksplat.audio.speech_checkpoint import find_checkpoint, load_weights
from talksplat.audio.waveform import standardize
from talksplat.errors import UserError
from tests.helpers.tiny_speech import HIDDEN, LETTERS, write_speech_model


@pytest.fixture(scope="module")
def ctc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_speech_model(tmp_path_factory.mktemp("speech") / "ctc", ctc=True)


def noise(seconds: float) -> np.ndarray:
    return (0.1 * np.random.default_rng(0).normal(size=round(16000 * seconds))).astype(np.float32)


def with_click(samples: np.ndarray, at: float) -> np.ndarray:
    """5 ms of loud noise with their middle at `at` seconds."""
    first = round(at * 16000) - 40
    clicked = samples.copy()
    clicked[first : first + 80] += np.random.default_rng(1).normal(size=80).astype(np.float32)
    return clicked


def test_grid_of_wav2vec2_sees_25_ms_around_the_middle_of_each_row(ctc: Path) -> None:
    model = load_weights(ctc, ctc=False)
    grid = RowGrid.of(model.config)
    assert (grid.hop, grid.field, grid.lead) == (320, 400, 40)
    quiet, place = np.zeros(40 * 320, np.float32), 20 * 320 + 160  # the middle of row 20
    reached = []
    for offset in (0, 161, 199, 201):  # samples from the middle; it sees 200 to each side
        pulse = quiet.copy()
        pulse[place + offset] = 1
        with torch.no_grad():
            a, b = (
                model.feature_extractor(torch.from_numpy(grid.lay_out(sound, 40))[None])[0] for sound in (quiet, pulse)
            )
        reached.append(np.flatnonzero((a != b).any(0).numpy()).tolist())
    assert reached == [[20], [20, 21], [20, 21], [21]]


@pytest.mark.parametrize("frame", [12, 31])
def test_a_click_moves_the_rows_of_its_time(ctc: Path, frame: int) -> None:
    """A frame's time k/25 is the border between rows 2k-1 and 2k, the middle of a centred window of 16."""
    samples = noise(2)
    logits = SpeechModelFeatures(str(ctc), LETTERS, normalize=False)
    moved = np.abs(logits(with_click(samples, frame / 25)) - logits(samples)).mean(-1)
    assert moved.shape == (50, 16)
    assert set(np.argsort(moved[frame])[-2:]) == {7, 8}
    pairs = SpeechModelFeatures(str(ctc), HIDDEN, window=2, first_row=0, layer=0, normalize=False)
    moved = np.abs(pairs(with_click(samples, (frame + 0.25) / 25)) - pairs(samples)).mean(-1)
    assert np.unravel_index(moved.argmax(), moved.shape) == (frame, 0)  # row 2k lasts from k/25 s to (k+0.5)/25 s


@pytest.mark.parametrize(("strides", "hop"), [((5, 2, 2, 2, 2, 2, 1), 160), ((5, 2, 2, 2, 2, 2, 4), 640)])
def test_other_rates_come_out_at_50_rows_a_second(tmp_path: Path, strides: tuple, hop: int) -> None:
    folder = write_speech_model(tmp_path / "model", conv_stride=strides)
    features = SpeechModelFeatures(str(folder), HIDDEN, layer=0, normalize=False)
    assert features._grid.hop == hop
    samples = noise(2)
    rows = features.rows(samples)
    assert rows.shape == (100, HIDDEN)
    moved = np.abs(features.rows(with_click(samples, 1.22)) - rows).mean(-1)  # between rows 60 and 61
    centre = (moved[40:81] * np.arange(40, 81)).sum() / moved[40:81].sum()
    assert abs(centre - 60.5) < 0.7


def test_chunks_equal_one_pass(ctc: Path) -> None:
    """Attention spans a whole chunk, so rows differ a little near its borders: here by less than 0.5 % of their spread,
    and by more where nothing is read along."""
    samples = noise(12)

    def rows(chunk: float, overlap: float) -> np.ndarray:
        return SpeechModelFeatures(str(ctc), HIDDEN, layer=-1, chunk_seconds=chunk, overlap_seconds=overlap).rows(
            samples
        )

    whole = rows(60, 0)
    assert whole.shape == (600, HIDDEN)
    close, apart = (np.abs(rows(4, overlap) - whole).max(1) / whole.std() for overlap in (2, 0))
    assert close.max() < 0.005
    assert apart.max() > 10 * close.max()
    inner = np.ones(600, bool)
    inner[[r for border in (200, 400) for r in range(border - 10, border + 10)]] = False
    assert apart[inner].max() < 0.1 * apart.max()  # the convolutions make the border itself wrong


def test_logits_hidden_states_and_loudness(ctc: Path) -> None:
    samples = noise(1)
    layers = [SpeechModelFeatures(str(ctc), HIDDEN, layer=layer).rows(samples) for layer in (0, 1, 2, -1)]
    assert not np.allclose(layers[0], layers[1]) and not np.allclose(layers[1], layers[2])
    np.testing.assert_array_equal(layers[2], layers[3])
    model = load_weights(ctc, ctc=True)
    between = []
    model.wav2vec2.encoder.layers[1].register_forward_pre_hook(lambda module, inputs: between.append(inputs[0]))
    with torch.no_grad():
        model(torch.from_numpy(RowGrid(320, 400).lay_out(standardize(samples), 50))[None])
        head = model.lm_head(torch.from_numpy(layers[-1]))
    np.testing.assert_allclose(layers[1], between[0][0], atol=1e-5)
    logits = SpeechModelFeatures(str(ctc), LETTERS)
    np.testing.assert_allclose(logits.rows(samples), head, atol=1e-5)
    np.testing.assert_allclose(logits.rows(3 * samples), logits.rows(samples), atol=1e-2)
    silence = logits(np.zeros(16000, np.float32))
    assert silence.shape == (25, 16, LETTERS) and np.isfinite(silence).all()


def test_normalisation_follows_the_checkpoint(ctc: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(ctc, tmp_path / "raw")
    (folder / "preprocessor_config.json").write_text('{"do_normalize": false}')
    assert not SpeechModelFeatures(str(folder), LETTERS).normalize and SpeechModelFeatures(str(ctc), LETTERS).normalize
    (folder / "preprocessor_config.json").write_text("{")
    with pytest.raises(UserError, match="preprocessor_config.json"):
        SpeechModelFeatures(str(folder), LETTERS)


def test_identity_is_of_the_contents(ctc: Path, tmp_path: Path) -> None:
    identity = SpeechModelFeatures(str(ctc), LETTERS).identity()
    copied = shutil.copytree(ctc, tmp_path / "copy")
    assert SpeechModelFeatures(str(copied), LETTERS).identity() == identity
    assert SpeechModelFeatures(str(ctc), HIDDEN, layer=-1).identity() != identity
    weights = bytearray((copied / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (copied / "model.safetensors").write_bytes(weights)
    assert SpeechModelFeatures(str(copied), LETTERS).identity() != identity
    json.dumps(identity)


def test_too_short(ctc: Path) -> None:
    with pytest.raises(UserError, match="319 samples.*too short for one row"):
        SpeechModelFeatures(str(ctc), LETTERS)(noise(0.02)[:319])
    assert SpeechModelFeatures(str(ctc), LETTERS)(noise(0.02)).shape == (1, 16, LETTERS)


def test_a_model_that_hears_nothing(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert", "hidden_size": 32}')
    with pytest.raises(UserError, match="holds a bert model, which does not read audio"):
        SpeechModelFeatures(str(tmp_path), 32, layer=-1)
    for text in ("{}", "{", '{"model_type": "unheard_of"}'):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(UserError, match="config.json of a model that transformers knows"):
            SpeechModelFeatures(str(tmp_path), 32)
    (tmp_path / "config.json").unlink()
    with pytest.raises(UserError, match="no config.json"):
        SpeechModelFeatures(str(tmp_path), 32)
    with pytest.raises(UserError, match="there is no speech model in /no/such/folder"):
        SpeechModelFeatures("/no/such/folder", 32)


def test_widths_layers_and_heads_are_checked(ctc: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"logits.*have width 44, but the audio setting says 29: give audio.width=44"):
        SpeechModelFeatures(str(ctc), 29)
    with pytest.raises(UserError, match="hidden states.*width 32.*says 1024"):
        SpeechModelFeatures(str(ctc), 1024, window=2, first_row=0, layer=-1)
    with pytest.raises(UserError, match="layer=3.*has 2 layers"):
        SpeechModelFeatures(str(ctc), HIDDEN, layer=3)
    headless = write_speech_model(tmp_path / "hubert", "hubert")
    with pytest.raises(UserError, match="no CTC head.*audio.extractor.layer=-1"):
        SpeechModelFeatures(str(headless), LETTERS).rows(noise(1))


def test_damaged_weights(ctc: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(ctc, tmp_path / "copy")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UserError, match="cannot be loaded"):
        SpeechModelFeatures(str(folder), LETTERS).rows(noise(1))
    weights.unlink()
    with pytest.raises(UserError, match="has no weights"):
        SpeechModelFeatures(str(folder), LETTERS).rows(noise(1))


def test_a_name_without_network_says_what_to_put_where(ctc: Path, tmp_path: Path, monkeypatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.delenv("TALKSPLAT_ASSETS", raising=False)
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("it asks the network"))
    with pytest.raises(
        UserError, match=r"speech model nobody/nothing.*https://huggingface.co/nobody/nothing.*TALKSPLAT"
    ):
        find_checkpoint("nobody/nothing")
    shutil.copytree(ctc, tmp_path / "nothing")
    assert find_checkpoint("nobody/nothing", tmp_path) == tmp_path / "nothing"
    monkeypatch.setenv("TALKSPLAT_ASSETS", str(tmp_path))
    assert find_checkpoint("nobody/nothing") == tmp_path / "nothing"


def test_without_transformers_the_extra_is_named(ctc: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UserError, match=r'pip install "talksplat\[speech\]"'):
        SpeechModelFeatures(str(ctc), LETTERS)


def test_checkpoints_as_they_were_published(ctc: Path, tmp_path: Path) -> None:
    """The well-known ones are torch files with older names of the weight norm, without the embedding of masked steps."""
    from safetensors.torch import load_file

    folder = shutil.copytree(ctc, tmp_path / "old")
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    for new, old in (
        ("parametrizations.weight.original0", "weight_g"),
        ("parametrizations.weight.original1", "weight_v"),
    ):
        name = next(key for key in weights if key.endswith(new))
        weights[name.replace(new, old)] = weights.pop(name)
    del weights["wav2vec2.masked_spec_embed"]
    torch.save(weights, folder / "pytorch_model.bin")
    expected = SpeechModelFeatures(str(ctc), LETTERS).rows(noise(1))
    np.testing.assert_array_equal(SpeechModelFeatures(str(folder), LETTERS).rows(noise(1)), expected)
    hidden = SpeechModelFeatures(str(folder), HIDDEN, layer=-1)
    np.testing.assert_array_equal(hidden.rows(noise(1)), SpeechModelFeatures(str(ctc), HIDDEN, layer=-1).rows(noise(1)))
    del weights["wav2vec2.encoder.layers.1.attention.k_proj.weight"]
    torch.save(weights, folder / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"lack .*encoder.layers.1.attention.k_proj.weight \(1 in all\)"):
        hidden.rows(noise(1))
