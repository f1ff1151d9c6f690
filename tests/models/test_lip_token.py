"""The lip token: what a prior says of the frame, from the audio windows that the avatar has anyway."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from talksplat.checkpoint import load_weights
from talksplat.config import compose, instantiate
from talksplat.errors import UserError
from talksplat.lips import lip_numbers
from talksplat.lips.measures import TARGETS
from talksplat.lips.prior import LipPrior
from talksplat.models.conditioning import lip_token
from talksplat.models.conditioning.expression import at_rest
from talksplat.models.conditioning.lip_token import LipToken
from talksplat.models.subject_statistics import SubjectStatistics
from talksplat.subject_format.audio_windows import audio_windows, rewindow
from tests.models.building import configure, make_conditions, set_up

WIDTH = 5
FINGERPRINT = np.arange(1.0, WIDTH + 1, dtype=np.float32)


def write_prior(
    path: Path, first_row: int = -16, taps: int = 22, per_clip: bool = False, feature: str = "made", width: int = WIDTH
) -> Path:
    rng = np.random.default_rng(0)
    LipPrior(
        feature=feature,
        fingerprint=FINGERPRINT,
        first_row=first_row,
        weights=rng.normal(size=(9, taps, width)).astype(np.float16).astype(np.float32),
        bias=rng.normal(size=9).astype(np.float32),
        per_clip=per_clip,
        targets=TARGETS,
        lip_basis=np.linalg.qr(rng.normal(size=(40, 6)))[0].T.astype(np.float32),
        people=("a", "b"),
        scores={},
        card="made by a test",
    ).save(path)
    return path


def token(prior: Path, **settings) -> LipToken:
    return LipToken(str(prior), **{"feature": "made", "width": WIDTH, "window": 16, "context": 8, **settings})


def statistics(windows: torch.Tensor, fingerprint=FINGERPRINT, **more) -> SubjectStatistics:
    fingerprint = None if fingerprint is None else torch.from_numpy(fingerprint)
    return SubjectStatistics(
        torch.zeros(0, 3), torch.eye(4).expand(len(windows), 4, 4), audio=windows, audio_fingerprint=fingerprint, **more
    )


def conditions_of(windows: torch.Tensor, frames: torch.Tensor, context: int, ahead: int | None):
    conditions = make_conditions(len(frames))
    conditions.audio = audio_windows(windows, frames, context, ahead)
    return conditions


@pytest.mark.parametrize(
    ("window", "context", "ahead", "first_row", "taps"),
    [(16, 8, None, -16, 30), (16, 8, None, -16, 22), (12, 8, 0, -16, 22), (4, 9, 2, -10, 15), (16, 1, None, -8, 16)],
)
def test_token_is_the_priors_prediction(tmp_path: Path, window: int, context: int, ahead, first_row: int, taps: int):
    prior = write_prior(tmp_path / "prior.npz", first_row, taps)
    rows = np.random.default_rng(1).normal(size=(120, WIDTH)).astype(np.float32)
    windows = torch.from_numpy(rewindow(rows, window))
    lips = token(prior, window=window, context=context, ahead=ahead)
    lips.fit(statistics(windows))
    frames = torch.arange(15, 45)  # inside, where windows are not cut off
    given = lips(conditions_of(windows, frames, context, ahead))
    assert np.abs(given.numpy() - LipPrior.load(prior).predict(rows, 60)[15:45]).max() < 1e-4


def test_a_prior_for_standardised_rows_takes_the_training_frames(tmp_path: Path):
    prior = write_prior(tmp_path / "prior.npz", per_clip=True)
    rows = 3 + 2 * np.random.default_rng(1).normal(size=(400, WIDTH)).astype(np.float32)
    windows = torch.from_numpy(rewindow(rows, 16))
    lips = token(prior)
    lips.fit(statistics(windows[8:-8]))
    given = lips(conditions_of(windows, torch.arange(20, 180), 8, None)).numpy()
    expected = LipPrior.load(prior).predict(rows, 200)[20:180]
    assert np.abs(given - expected).max() < 0.1 * expected.std()


def test_what_does_not_fit_is_refused(tmp_path: Path):
    windows = torch.randn(30, 16, WIDTH)
    prior = write_prior(tmp_path / "prior.npz")
    with pytest.raises(UserError, match="other model or setting"):
        token(prior).fit(statistics(windows, FINGERPRINT + 1))
    with pytest.raises(UserError, match="audio=made features, not audio=mel"):
        token(prior, feature="mel").fit(statistics(windows))
    with pytest.raises(UserError, match="reads rows -16 to \\+5.*reach from -6 to \\+5"):
        token(prior, window=12, context=1).fit(statistics(windows))
    with pytest.raises(UserError, match="no lip prior nowhere"):
        token(Path("nowhere")).fit(statistics(windows))
    token(prior).fit(statistics(windows, None))  # a folder that does not tell what made its features


def seen_lips(count: int, seed: int = 3) -> torch.Tensor:
    measures = np.random.default_rng(seed).normal(size=(count, 43)).astype(np.float32)
    measures[:, 0] = np.abs(measures[:, 0])
    return torch.from_numpy(measures)


def test_training_sees_measured_lips_and_everything_else_predicted_ones(tmp_path: Path):
    prior = write_prior(tmp_path / "prior.npz")
    windows = torch.from_numpy(rewindow(np.random.default_rng(1).normal(size=(120, WIDTH)).astype(np.float32), 16))
    frames = torch.arange(10, 50)
    plain, lips = token(prior), token(prior, measured=True)
    measures = seen_lips(40)
    measures[7] = torch.nan  # no face
    for part in (plain, lips):
        part.fit(statistics(windows[10:50], frames=frames, lip_measures=measures))
    conditions = conditions_of(windows, frames, 8, None)
    conditions.lip_measures = measures
    expected = lip_numbers(measures.numpy().astype(np.float64), LipPrior.load(prior).lip_basis)
    predicted = plain.eval()(conditions)
    given = lips.train()(conditions)
    assert np.nanmax(np.abs(given.detach().numpy() - expected)) < 1e-4
    assert torch.equal(given[7], predicted[7])
    assert torch.equal(lips.eval()(conditions), predicted) and torch.equal(plain.train()(conditions), predicted)
    conditions.lip_measures = None  # new speech
    assert torch.equal(lips.train()(conditions), predicted)


def test_prior_is_fitted_to_the_persons_own_lips(tmp_path: Path):
    prior = tmp_path / "weak.npz"
    strong = LipPrior.load(write_prior(tmp_path / "prior.npz"))
    replace(strong, weights=0.01 * strong.weights).save(prior)
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(2000, WIDTH)).astype(np.float32)
    windows = torch.from_numpy(rewindow(rows, 16))
    law = rng.normal(size=(WIDTH, 43)) * np.concatenate([[0.1, 0.1, 0.1], np.ones(40)])
    measures = torch.from_numpy(1 + (rows[0::2] + rows[1::2]) @ law).float()
    train = torch.arange(20, 600)
    numbers = lip_numbers(measures.numpy().astype(np.float64), LipPrior.load(prior).lip_basis)[600:990]
    likeness = []
    for personal in (None, 0.001):
        lips = token(prior, personal=personal)
        lips.fit(statistics(windows[train], frames=train, lip_measures=measures[train]))
        told = lips.eval()(conditions_of(windows, torch.arange(600, 990), 8, None)).numpy()
        likeness.append(np.mean([np.corrcoef(told[:, k], numbers[:, k])[0, 1] for k in range(9)]))
    assert likeness[0] < 0.3 and likeness[1] > 0.95


def test_lips_are_closed_where_nothing_sounds(tmp_path: Path):
    prior = write_prior(tmp_path / "prior.npz")
    rows = np.random.default_rng(1).normal(size=(240, WIDTH)).astype(np.float32)
    rows[80:160] = 0
    windows = torch.from_numpy(rewindow(rows, 16))
    lips = token(prior)
    measures = seen_lips(30)
    lips.fit(statistics(windows[5:35], frames=torch.arange(5, 35), lip_measures=measures))
    told = lips.eval()(conditions_of(windows, torch.arange(120), 8, None)).numpy()
    numbers = lip_numbers(measures.numpy().astype(np.float64), LipPrior.load(prior).lip_basis)
    closed = numbers[numbers[:, 0] <= np.percentile(numbers[:, 0], 10)].mean(0)
    assert np.abs(told[43:77] - closed).max() < 1e-5
    assert np.abs(told[10:36] - LipPrior.load(prior).predict(rows, 120)[10:36]).max() < 1e-4


def test_small_rows_are_no_silence_where_each_recording_has_its_level(tmp_path: Path):
    lips = token(write_prior(tmp_path / "prior.npz", per_clip=True))
    windows = torch.randn(40, 16, WIDTH, generator=torch.Generator().manual_seed(0))
    lips.fit(statistics(windows, lip_measures=seen_lips(40)))
    quiet = conditions_of(0 * windows, torch.arange(12, 20), 8, None)
    assert torch.allclose(lips.eval()(quiet), lips.bias.expand(8, 9))


def test_own_lips_are_asked_for_where_the_folder_has_none(tmp_path: Path):
    windows = torch.randn(30, 16, WIDTH)
    prior = write_prior(tmp_path / "prior.npz")
    for setting in ({"measured": True}, {"personal": 0.01}):
        with pytest.raises(UserError, match="no training frame has landmarks.*measured=false"):
            token(prior, **setting).fit(statistics(windows, lip_measures=torch.full((30, 43), torch.nan)))


@pytest.mark.parametrize("window", [1, 2, 3, 16])
def test_windows_become_the_recording_they_were_cut_from(window: int):
    rows = np.random.default_rng(0).normal(size=(120, WIDTH)).astype(np.float32)
    windows = torch.from_numpy(rewindow(rows, window))
    clip = lip_token._clip_of(statistics(windows[10:40], frames=torch.arange(10, 40)))
    assert len(clip.rows) == 60 and np.array_equal(clip.frames, np.arange(30))
    known = slice(None, None, 2 if window == 1 else 1)
    inside = slice(1, -1) if window == 2 else slice(None)
    np.testing.assert_array_equal(clip.rows[known][inside], rows[20:80][known][inside])
    gap = torch.cat([torch.arange(10, 25), torch.arange(5000, 5015)])
    clip = lip_token._clip_of(statistics(windows[10:40], frames=gap))
    assert len(clip.rows) == 2 * (14 + 25 + 14 + 1) and clip.frames[15] == 14 + 25


def test_checkpoints_of_the_first_version_load(tmp_path: Path):
    prior = write_prior(tmp_path / "prior.npz")
    overrides = ("experiment=lips/prior", f"model.tokens.lips.prior={prior}", "model.tokens.lips.feature=made")
    config = configure("gaussiantalker", overrides, audio_width=WIDTH)
    model = set_up(instantiate(config.model))
    model.shared["tokens"].fit(statistics(torch.randn(30, 16, WIDTH)))
    newer = {f"shared.tokens.sources.lips.{name}" for name in LipToken.NEWER_BUFFERS}
    old = {f"model.{name}": value for name, value in model.state_dict().items() if name not in newer}
    assert len(old) == len(model.state_dict()) - 4
    entry = {
        "config_yaml": OmegaConf.to_yaml(config, resolve=True),
        "num_gaussians": model.num_gaussians,
        "layers": model.layer_sizes(),
    }
    other = instantiate(config.model)
    load_weights(other, {"talksplat": entry, "state_dict": old}, "old.ckpt")
    conditions = make_conditions(3, audio_width=WIDTH)
    assert torch.equal(other.eval()(conditions, "deform", 0).means, model.eval()(conditions, "deform", 0).means)


def test_own_lips_without_a_prior_are_refused():
    for wishes in (["model.tokens.lips.measured=true"], ["model.tokens.lips.personal=0.01"]):
        with pytest.raises(UserError, match="need a lip prior: audio=whisper has one"):
            compose("train", ["audio=mel", *wishes])
    for name in ("few_seconds", "lips/prior_only"):  # with other features the prior is refused by name, not left out
        assert compose("train", [f"experiment={name}", "audio=mel"]).model.tokens.lips.prior == "whisper_tiny_en"


@pytest.mark.parametrize("name", ["gaussiantalker", "egstalker"])
def test_avatar_has_the_token_and_its_checkpoint_the_weights(tmp_path: Path, name: str):
    prior = write_prior(tmp_path / "prior.npz")
    overrides = ("experiment=lips/prior", f"model.tokens.lips.prior={prior}", "model.tokens.lips.feature=made")
    config = configure(name, overrides, audio_width=WIDTH)
    model = set_up(instantiate(config.model))
    assert model.token_names[:2] == ("audio", "lips") and len(model.token_names) == 5
    model.shared["tokens"].fit(statistics(torch.randn(30, 16, WIDTH)))
    conditions = make_conditions(3, audio_width=WIDTH)
    shown = model.eval()(conditions, "deform", 0).means
    prior.unlink()
    other = instantiate(config.model)
    other.resize(model.layer_sizes())
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.eval()(conditions, "deform", 0).means, shown)
    lips = model.shared["tokens"].sources["lips"]
    assert lips.weights.abs().max() > 0 and not list(lips.parameters())  # fixed: buffers


def test_prior_only_has_no_audio_token(tmp_path: Path):
    prior = write_prior(tmp_path / "prior.npz")
    overrides = ("experiment=lips/prior_only", f"model.tokens.lips.prior={prior}", "model.tokens.lips.feature=made")
    model = instantiate(configure("gaussiantalker", overrides, audio_width=WIDTH).model)
    assert "audio" not in model.token_names and "lips" in model.token_names
    assert model.face.deformation.reach is not None


def test_whisper_comes_with_the_prior_and_other_features_without():
    for audio, has_lips in (("whisper", True), ("mel", False), ("deepspeech", False)):
        for name in ("gaussiantalker", "egstalker"):
            config = compose("train", [f"model={name}", f"audio={audio}", "model/attention=concatenation"])
            model = instantiate(config.model)
            assert ("lips" in model.token_names) is has_lips, audio
            assert config.model.cross_attention.mixer.num_tokens == len(model.token_names)
    for wishes in (
        ["experiment=lips/no_prior"],
        ["experiment=gaussiantalker/paper", "audio=whisper", "audio.components=null"],
    ):
        assert "lips" not in instantiate(compose("train", wishes).model).token_names


def test_unit_dropout_rests_whole_frames_in_training_alone():
    conditions = make_conditions(2000)
    conditions.action_units = torch.ones(2000, 3)
    conditions.eye = torch.ones(2000)
    rested = at_rest(conditions, 0.25)
    still = rested.eye == 0
    assert 0.2 < still.float().mean() < 0.3
    assert torch.equal(rested.action_units.sum(1) == 0, still) and torch.equal(rested.audio, conditions.audio)
