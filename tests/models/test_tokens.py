from __future__ import annotations

import pytest
import torch

from talksplat.errors import UserError
from talksplat.models.conditioning.audio_encoder import AudioEncoder
from talksplat.models.conditioning.tokens import CameraToken, ConditionTokens, EyeToken, TokenMLP
from tests.models.building import build, make_conditions


def count(module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_parameter_counts_of_the_original():
    tokens = build(paper=True).shared["tokens"]
    assert count(tokens.sources["audio"].encoder) == 32_869
    assert {name: count(network) for name, network in tokens.networks.items()} == dict(
        audio=6144, eye=6144, camera=4864
    )
    assert count(tokens.sources["null"]) == 64


@pytest.mark.parametrize(("width", "window"), [(29, 16), (44, 16), (1024, 2), (32, 1), (32, 11), (80, 33)])
@pytest.mark.parametrize("smoothing", [True, False])
def test_any_feature_fits(width, window, smoothing):
    encoder = AudioEncoder(width, window, smoothing=smoothing)
    assert encoder(torch.randn(3, 8, window, width)).shape == (3, 32)


def test_components_are_the_training_rows_whitened():
    rows = torch.randn(500, 40) @ torch.randn(40, 40)  # some directions vary far more than others
    encoder = AudioEncoder(40, 4, components=6)
    encoder.fit(rows[:, None])
    seen = []
    encoder.convolutions[0].register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    encoder(rows[:480].reshape(15, 8, 4, 40))
    kept = seen[0].mT.reshape(-1, 6)
    assert torch.allclose(kept.std(0), torch.ones(6), atol=0.1) and kept.mean(0).abs().max() < 0.1
    scaled = (rows - rows.mean(0)) / rows.std(0)
    _, singular, _ = torch.linalg.svd(scaled, full_matrices=False)
    explained = (scaled @ encoder.basis).std(0) / encoder.basis.norm(dim=0)  # deviation along each axis
    assert torch.allclose(explained.sort(descending=True)[0], singular[:6] / 500**0.5, rtol=0.02)
    with pytest.raises(UserError, match="audio.components=41"):
        AudioEncoder(40, 4, components=41)


def test_the_frames_own_window_counts_most_at_the_start():
    for context, ahead, center in ((8, None, 4), (8, 0, 7), (8, 3, 4), (9, 2, 6)):
        scores = AudioEncoder(29, 16, context, ahead=ahead).smoothing.scores.bias
        assert scores.argmax() == center


def test_frames_do_not_mix_and_all_windows_count():
    encoder = AudioEncoder(29, 16)
    audio = torch.randn(4, 8, 16, 29).requires_grad_()
    encoder(audio)[2].square().sum().backward()
    reached = audio.grad.abs().flatten(2).sum(-1) > 0
    assert reached[2].all() and not reached[[0, 1, 3]].any()
    alone = encoder(audio[2:3])
    assert torch.allclose(encoder(audio)[2:3], alone, atol=1e-6)


def test_wrong_audio_is_named():
    with pytest.raises(UserError, match=r"\(8, 16, 44\).*\(8, 16, 29\)"):
        AudioEncoder(29, 16)(torch.zeros(1, 8, 16, 44))


@pytest.mark.parametrize(("frequency", "highest"), [("multiply", 10000 ** (30 / 32)), ("divide", 1.0)])
def test_eye_code(frequency, highest):
    token = EyeToken(frequency=frequency)
    conditions = make_conditions(5)
    code = token(conditions)
    assert code.shape == (5, 32) and abs(token.rates.max().item() / highest - 1) < 1e-4
    assert torch.allclose(code[:, 0], conditions.eye.sin()) and torch.allclose(code[:, 1], conditions.eye.cos())
    if frequency == "divide":  # smooth: a small change of the eye is a small change of the code
        conditions.eye = conditions.eye + 1e-3
        assert (token(conditions) - code).norm(dim=-1).max() < 3e-3


def test_camera_is_raw_in_the_original():
    token = CameraToken(normalize=False, limit=None, noise=0.0)
    conditions = make_conditions(6)
    token.fit(conditions.viewmats)
    rotation, translation = conditions.viewmats[:, :3, :3], conditions.viewmats[:, :3, 3]
    assert torch.equal(token(conditions), torch.cat([rotation.mT.reshape(6, 9), translation], dim=1))


def test_camera_normalised_limited_and_noisy():
    token = CameraToken(min_std=0.01, limit=3.0, noise=0.5)
    conditions = make_conditions(400)
    token.fit(conditions.viewmats)
    first, second = token(conditions), token(conditions)
    assert 0.4 < (first - second).std() < 0.9 and first.abs().max() <= 3
    code = token.eval()(conditions)
    assert torch.equal(code, token(conditions))
    assert code.mean(0).abs().max() < 0.1 and (code.std(0) > 0.7).all()
    still = CameraToken(min_std=0.05).eval()
    still.fit(conditions.viewmats[:1].expand(9, 4, 4) + 1e-3 * torch.randn(9, 4, 4))
    same = make_conditions(400)
    same.viewmats = conditions.viewmats[:1] + 1e-3 * torch.randn(400, 4, 4)
    assert still(same).abs().max() < 0.2  # tracker noise of a still head stays small


def test_a_token_set_to_null_is_left_out():
    assert build().token_names == ("audio", "eye", "camera", "null")
    assert build(overrides=("model.tokens.eye=null",)).token_names == ("audio", "camera", "null")
    with pytest.raises(UserError, match="every token"):
        ConditionTokens(TokenMLP)
    with pytest.raises(UserError, match="frequency"):
        EyeToken(frequency="add")
    with pytest.raises(UserError, match="normalize=false"):
        CameraToken(normalize=False)
