from __future__ import annotations

import pytest
import torch
from torch.nn.functional import layer_norm

from talksplat.errors import UserError
from talksplat.models.conditioning.attention import SpatialAudioAttention
from talksplat.models.conditioning.multi_head import MultiHeadAttention
from talksplat.models.dropout import Dropout


def plain(module: SpatialAudioAttention, features, tokens):
    """The same network without any folding: torch's own multi-head attention on repeated queries."""
    x = features.expand(len(tokens), *features.shape)
    for layer in module.layers:
        a = layer.mixer
        mha = torch.nn.MultiheadAttention(64, a.num_heads, batch_first=True, dtype=x.dtype)
        with torch.no_grad():
            mha.in_proj_weight.copy_(torch.cat([a.query.weight, a.key.weight, a.value.weight]))
            mha.in_proj_bias.copy_(torch.cat([a.query.bias, a.key.bias, a.value.bias]))
            mha.out_proj.load_state_dict(a.output.state_dict())
        attended, weights = mha(x, tokens, tokens)
        norm = layer.mixer_norm
        x = layer_norm(x + attended, (64,), norm.weight, norm.bias, 1e-12)
        norm = layer.ffn_norm
        hidden = torch.relu(x @ layer.ffn[0].weight.T + layer.ffn[0].bias)
        x = layer_norm(x + hidden @ layer.ffn[3].weight.T + layer.ffn[3].bias, (64,), norm.weight, norm.bias, 1e-12)
    return x, weights


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-6)])
def test_folding_is_exact(layers, dtype, tolerance):
    torch.manual_seed(0)
    module = (
        SpatialAudioAttention(MultiHeadAttention, num_layers=layers, norm_eps=1e-12, normalize_queries=False)
        .to(dtype)
        .eval()
    )
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)  # biases and norms too
    features, tokens = torch.randn(50, 64, dtype=dtype), torch.randn(3, 4, 64, dtype=dtype)
    expected, weights = plain(module, features, tokens)
    scale = expected.abs().max()
    prepared = module.prepare(features, features[:, :3])
    assert (module(prepared, tokens) - expected).abs().max() < tolerance * scale
    assert (module.weights(prepared, tokens) - weights).abs().max() < tolerance * scale


def test_parameter_count():
    module = SpatialAudioAttention(MultiHeadAttention, normalize_queries=False)
    assert sum(p.numel() for p in module.parameters()) == 33_472


def test_weights_sum_to_one_for_each_gaussian():
    module = SpatialAudioAttention(MultiHeadAttention, num_layers=2).eval()
    weights = module.weights(module.prepare(torch.randn(9, 64), torch.randn(9, 3)), torch.randn(2, 3, 64))
    assert weights.shape == (2, 9, 3) and torch.allclose(weights.sum(-1), torch.ones(2, 9))


def test_normalised_queries_make_place_count_from_the_start():
    torch.manual_seed(0)
    features, tokens = 0.03 + 0.01 * torch.rand(100, 64), torch.randn(1, 4, 64)
    modules = [SpatialAudioAttention(MultiHeadAttention, normalize_queries=flag).eval() for flag in (True, False)]
    spread = [module(module.prepare(features, features[:, :3]), tokens).std(dim=1).mean() for module in modules]
    assert spread[0] > 10 * spread[1]


def test_heads_must_divide_the_width():
    with pytest.raises(UserError, match="num_heads=3"):
        MultiHeadAttention(64, num_heads=3)


@pytest.mark.parametrize("probability", [0.1, 0.2, 0.5])
def test_dropout_rate_scale_and_evaluation(probability):
    torch.manual_seed(0)
    dropout = Dropout(probability)
    ones = torch.ones(1001, 333)
    kept = dropout(ones)
    assert abs((kept == 0).float().mean().item() - probability) < 5e-3
    assert abs(kept.mean().item() - 1) < 5e-3
    assert not torch.equal(dropout(ones), kept)
    assert torch.equal(dropout.eval()(ones), ones)
    assert torch.equal(Dropout(0.0)(ones), ones)


def test_without_dropout_training_is_evaluation():
    features, tokens = torch.randn(50, 64), torch.randn(3, 4, 64)
    for probability in (0.0, 0.2):
        module = SpatialAudioAttention(MultiHeadAttention, num_layers=2, dropout=probability)
        training = module(module.prepare(features, features[:, :3]), tokens)
        module.eval()
        assert torch.equal(module(module.prepare(features, features[:, :3]), tokens), training) == (probability == 0)


def test_dropout_gradient_is_its_own_mask():
    features = torch.rand(64, 64).requires_grad_()
    dropped = Dropout(0.3)(features)
    dropped.sum().backward()
    assert torch.allclose(features.grad * features, dropped)
