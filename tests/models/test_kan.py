"""KAN layers against their definition, written edge by edge (EGSTalker)."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import silu

from talksplat.errors import UserError
from talksplat.models.deformation.base import DeformationHeads
from talksplat.models.gaussians.canonical import CanonicalMLP
from talksplat.models.heads import FusedHeads, JoinedHeads
from talksplat.models.kan import BASES, KANLinear, TokenKAN
from talksplat.models.kan_heads import KANCanonical, KANDeformation, KANHeads

WIDTHS = {"means": 3, "opacities": 1, "sh": 12}


def phi(basis: str, order: int, x: torch.Tensor) -> list[torch.Tensor]:
    """The functions of a basis, from their closed forms."""
    if basis == "taylor":
        return [x**k for k in range(order)]
    if basis == "chebyshev":  # T_k(cos a) = cos k a
        return [torch.cos(k * torch.acos(torch.tanh(x))) for k in range(order)]
    return [torch.cos(k * x) for k in range(1, order + 1)] + [torch.sin(k * x) for k in range(1, order + 1)]


def edge_by_edge(layer: KANLinear, x: torch.Tensor) -> torch.Tensor:
    """y_o = b_o + sum_i (w_oi SiLU(x_i) + sum_k c_koi phi_k(x_i)) without any product of matrices."""
    y = layer.bias + (layer.base * silu(x)[..., None, :]).sum(-1)
    for coefficients, values in zip(layer.coefficients, phi(layer.basis, layer.order, x), strict=True):
        y = y + (coefficients * values[..., None, :]).sum(-1)
    return y


@pytest.mark.parametrize("basis", BASES)
@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_one_product_is_the_sum_over_edges(basis, order, dtype, tolerance):
    layer = KANLinear(12, 7, basis, order).to(dtype)
    torch.nn.init.normal_(layer.coefficients, std=0.2)  # more than at the start, so that every function counts
    x = torch.randn(4, 5, 12, dtype=dtype)
    expected = edge_by_edge(layer, x)
    assert (layer(x) - expected).abs().max() < tolerance * expected.abs().max()


def test_parameter_counts_of_the_original():
    count = lambda module: sum(p.numel() for p in module.parameters())
    assert count(TokenKAN(32)) == 24_704 and count(TokenKAN(12)) == 19_584


def test_kan_heads_are_as_large_as_the_mlp_heads_by_default():
    count = lambda module: sum(p.numel() for p in module.parameters())
    assert count(KANDeformation()) == 48_731 and abs(count(KANDeformation()) / count(DeformationHeads()) - 1) < 0.02
    assert abs(count(KANCanonical()) / count(CanonicalMLP()) - 1) < 0.02


def test_start_values():
    layer = KANLinear(400, 300)
    assert abs(layer.coefficients.std().item() * 400 * math.sqrt(3) - 1) < 0.02
    assert layer.bias.abs().max() <= 400**-0.5 and layer.base.abs().max() <= 400**-0.5  # Kaiming with a = sqrt 5
    assert all((parameter == 0).all() for parameter in KANLinear(4, 3, gain=0.0).parameters())


def test_unknown_bases_and_orders_are_refused():
    with pytest.raises(UserError, match="basis='spline'.*taylor, chebyshev, fourier"):
        KANLinear(3, 3, "spline")
    with pytest.raises(UserError, match="order=0"):
        KANLinear(3, 3, order=0)


def on_a_gpu(heads: JoinedHeads, features: torch.Tensor, monkeypatch) -> dict[str, torch.Tensor]:
    """What the path for GPUs gives; it has no operation of its own, so it runs here too."""
    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "is_cuda", True)
        return heads(features)


@pytest.mark.parametrize("kind", ["mlp", *BASES])
def test_fused_heads_are_separate_heads_on_cpu_and_gpu(kind, monkeypatch):
    heads = (FusedHeads(10, 6, WIDTHS, 1.0) if kind == "mlp" else KANHeads(10, 6, WIDTHS, 1.0, kind, 3)).double()
    for parameter in heads.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    features = torch.randn(2, 9, 10, dtype=torch.float64)
    entering = torch.relu(features) if kind == "mlp" else features
    hidden = torch.relu(heads.hidden(entering)).chunk(len(WIDTHS), dim=-1)
    expected = {name: heads.outputs[name](part) for name, part in zip(WIDTHS, hidden)}
    for given in (heads(features), on_a_gpu(heads, features, monkeypatch)):
        assert given.keys() == expected.keys()
        assert all(torch.allclose(given[name], expected[name], atol=1e-12) for name in WIDTHS)


@pytest.mark.parametrize("basis", BASES)
def test_deformation_starts_at_exactly_zero_and_learns(basis):
    module = KANDeformation(output_gain=0.0, basis=basis)
    features = torch.randn(2, 30, 64)
    offsets = module(features)
    assert {name: tuple(value.shape) for name, value in offsets.items()} == {
        "means": (2, 30, 3),
        "scales": (2, 30, 3),
        "quats": (2, 30, 4),
        "opacities": (2, 30),
        "sh": (2, 30, 16, 3),
    }
    assert all((value == 0).all() for value in offsets.values())
    sum((value - 1).square().sum() for value in offsets.values()).backward()
    assert all(p.grad.abs().sum() > 0 for output in module.heads.outputs.values() for p in output.parameters())
    assert all((KANDeformation(output_gain=0.1, basis=basis)(features)[n] != 0).any() for n in offsets)


def test_canonical_has_the_same_outputs_as_the_mlp():
    module = KANCanonical(factors=["scales", "quats", "opacities", "sh"], output_gain=0.0)
    predicted = module(torch.rand(7, 64))
    shapes = {name: tuple(value.shape) for name, value in predicted.items()}
    assert shapes == {"scales": (7, 3), "quats": (7, 4), "opacities": (7,), "sh": (7, 16, 3)}
    assert torch.equal(predicted["scales"], torch.full((7, 3), -2.0))
    assert KANCanonical(factors=[])(torch.rand(7, 64)) == {}


@pytest.mark.parametrize("basis", BASES)
@pytest.mark.parametrize("gpu", [False, True])
def test_bfloat16_stays_close(basis, gpu, monkeypatch):
    module = KANDeformation(output_gain=1.0, basis=basis)
    features = torch.randn(2, 40, 64)
    exact = module(features)
    if gpu:
        monkeypatch.setattr(torch.Tensor, "is_cuda", True)
    with torch.autocast("cpu", torch.bfloat16):
        half = module(features)
    for name, value in exact.items():
        assert half[name].dtype == torch.float32
        assert (half[name] - value).norm() < 0.03 * value.norm()
