"""Attention through agents against its published order and its written-out form (EGSTalker)."""

from __future__ import annotations

import copy

import pytest
import torch

from talksplat.errors import UserError
from talksplat.models.conditioning.agents import AgentAttention, curve_order, group_means
from talksplat.models.conditioning.attention import SpatialAudioAttention
from talksplat.models.inspection import attention
from tests.models.building import build, make_conditions, set_up

FEW = ("model.cross_attention.mixer.num_agents=7", "model.cross_attention.mixer.agent_share=null")


def stack(layers: int = 1, **settings) -> SpatialAudioAttention:
    torch.manual_seed(0)
    mixer = lambda width: AgentAttention(width, **{"num_agents": 20, **settings})
    return SpatialAudioAttention(mixer, num_layers=layers, normalize_queries=False).eval()


def inputs(count: int = 300, dtype: torch.dtype = torch.float32):
    features, means = torch.randn(count, 64, dtype=dtype), torch.randn(count, 3)
    return features, means, 0.5 * torch.randn(3, 4, 64, dtype=dtype)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("selection", ["pooled", "first"])
def test_either_order_of_the_products_gives_the_same(layers, selection):
    features, means, tokens = inputs(dtype=torch.float64)
    fused, two_step = (stack(layers, selection=selection, computation=c).double() for c in ("fused", "two_step"))
    one, other = (m(m.prepare(features, means), tokens) for m in (fused, two_step))
    assert (one - other).abs().max() < 1e-12
    one, other = (m.float()(m.prepare(features.float(), means), tokens.float()) for m in (fused, two_step))
    assert (one - other).abs().max() < 1e-6 * max(one.abs().max().item(), 1.0)


def test_attention_as_published():
    """P (S T) with S = softmax(s A T^T), P = softmax(s Q A^T), A a Linear of the first n rows, s = (64 / 16)^-1/2."""
    mixer = AgentAttention(64, num_agents=5, selection="first", scale_heads=16).double()
    features, means, tokens = inputs(40, torch.float64)
    agents = features[:5] @ mixer.agents.weight.T + mixer.agents.bias
    for frame in range(3):
        heard = torch.softmax(agents @ tokens[frame].T / 2, dim=-1) @ tokens[frame]
        expected = torch.softmax(features @ agents.T / 2, dim=-1) @ heard
        given = mixer(features, mixer.prepare(features, means), tokens)[frame]
        assert (given - expected).abs().max() < 1e-12


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("with_prior", [False, True])
def test_rows_of_the_weights_sum_to_one_and_are_those_of_the_output(layers, with_prior):
    features, means, tokens = inputs()
    module = stack(layers)
    prior = -torch.rand(300, 4) * 3 if with_prior else None
    prepared = module.prepare(features, means, prior)
    weights = module.weights(prepared, tokens)
    assert weights.shape == (3, 300, 4) and (weights >= 0).all()
    assert torch.allclose(weights.sum(-1), torch.ones(3, 300), atol=1e-6)
    if layers == 1:
        layer = module.layers[0]
        mixed = layer.mixer(features, prepared.mixing, tokens, prior)
        assert torch.allclose(mixed, weights @ tokens, atol=1e-6)


def test_a_prior_acts_as_on_the_logits_of_a_softmax():
    features, means, tokens = inputs()
    module = stack()
    prior = torch.randn(300, 4)
    plain = module.weights(module.prepare(features, means), tokens)
    expected = torch.softmax(plain.log() + prior, dim=-1)
    assert torch.allclose(module.weights(module.prepare(features, means, prior), tokens), expected, atol=1e-6)
    silent = prior.clone()
    silent[:, 0] = -1e4  # nothing is left of the first token, and nothing breaks
    weights = module.weights(module.prepare(features, means, silent), tokens)
    assert (weights[..., 0] == 0).all() and torch.allclose(weights.sum(-1), torch.ones(3, 300), atol=1e-6)


def test_number_and_share_of_agents():
    count = lambda gaussians, **settings: AgentAttention(64, **settings).count(gaussians)
    assert count(34_650) == 200 and count(50) == 50
    assert count(40_000, num_agents=None, agent_share=0.005) == 200
    assert count(10, num_agents=None, agent_share=0.005) == 1
    agents, asked = (m := AgentAttention(64, num_agents=9)).prepare(*inputs(30)[:2])
    assert agents.shape == (9, 64) and asked.shape == (30, 9)
    assert m.prepare(torch.randn(2, 30, 64), torch.randn(30, 3))[1].shape == (2, 30, 9)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"agent_share": 0.1}, "num_agents or agent_share"),
        ({"num_agents": None}, "num_agents or agent_share"),
        ({"num_agents": 0}, "num_agents=0"),
        ({"num_agents": None, "agent_share": 1.5}, "agent_share=1.5"),
        ({"selection": "last"}, "selection='last'"),
        ({"computation": "three"}, "computation='three'"),
        ({"scale_heads": 3}, "scale_heads=3"),
    ],
)
def test_settings_out_of_range_are_refused(settings, words):
    with pytest.raises(UserError, match=words):
        AgentAttention(64, **settings)


def test_first_takes_the_first_rows_and_pooled_averages_neighbours():
    features, means = torch.randn(12, 64), torch.zeros(12, 3)
    first = AgentAttention(64, num_agents=3, selection="first")
    assert torch.equal(first.prepare(features, means)[0], first.agents(features[:3]))
    means[:, 0] = torch.arange(12.0).flip(0)  # three groups of four along a line, stored backwards
    pooled = AgentAttention(64, num_agents=3)
    groups = features.flip(0).reshape(3, 4, 64).mean(1)
    assert torch.allclose(pooled.prepare(features, means)[0], pooled.agents(groups), atol=1e-6)


@pytest.mark.parametrize("count", [1, 7, 30, 31])
def test_groups_are_disjoint_complete_and_equal(count):
    order = torch.randperm(31)
    rows = torch.randn(2, 31, 5)
    groups = order.tensor_split([i * 31 // count for i in range(1, count)])
    assert {len(group) for group in groups} <= {31 // count, -(-31 // count)}
    expected = torch.stack([rows[:, group].mean(1) for group in groups], dim=1)
    assert torch.allclose(group_means(rows, order, count), expected, atol=1e-6)
    assert torch.allclose(group_means(rows[0], order, count), expected[0], atol=1e-6)
    assert group_means(rows.bfloat16(), order, count).dtype == torch.bfloat16


def bit_by_bit(points: torch.Tensor) -> list[int]:
    """Morton codes by their definition."""
    cells = ((points - points.amin(0)) / (points.amax(0) - points.amin(0)) * 65_535).long().tolist()
    code = lambda cell: sum(
        ((value >> bit) & 1) << (3 * bit + axis) for axis, value in enumerate(cell) for bit in range(16)
    )
    return [code(cell) for cell in cells]


def test_curve_order_sorts_by_morton_code():
    near = torch.cartesian_prod(*[torch.arange(4.0)] * 3)[torch.randperm(64)]  # the lowest bits count
    points = torch.cat([65_535 * torch.rand(500, 3), near, torch.full((1, 3), 65_535.0)])
    codes = torch.tensor(bit_by_bit(points))
    assert torch.equal(curve_order(points), codes.argsort(stable=True))


@pytest.mark.parametrize("case", ["identical", "not a number", "one", "flat"])
def test_odd_places_give_an_order_all_the_same(case):
    points = {
        "identical": torch.ones(9, 3),
        "not a number": torch.randn(9, 3).index_fill(0, torch.tensor([4]), float("nan")),
        "one": torch.randn(1, 3),
        "flat": torch.randn(9, 3) * torch.tensor([1.0, 0.0, 1.0]),
    }[case]
    assert sorted(curve_order(points).tolist()) == list(range(len(points)))
    agents, asked = AgentAttention(64, num_agents=4).prepare(torch.randn(len(points), 64), points)
    assert agents.isfinite().all() and asked.isfinite().all()


@pytest.mark.parametrize(("selection", "invariant"), [("pooled", True), ("first", False)])
def test_whether_the_order_of_storage_matters(selection, invariant):
    """Permuting the Gaussians permutes what the model shows and changes nothing else, up to rounding (1e-5), where agents
    are pooled by place. With the original's first rows it changes the avatar: density control, which appends and removes
    Gaussians, exchanges its agents."""
    model = set_up(build("egstalker", (*FEW, f"model.cross_attention.mixer.selection={selection}")))
    model.eval().requires_grad_(False)
    conditions = make_conditions(2)
    shown = model(conditions, "deform", 3)
    order = torch.randperm(model.num_gaussians, generator=torch.Generator().manual_seed(5))
    permuted = copy.deepcopy(model)
    for name, value in model.gaussians.params.items():
        permuted.gaussians.params[name].copy_(value[order])
    again = permuted(conditions, "deform", 3)
    differences = [
        (getattr(again, n) - getattr(shown, n)[:, order]).abs().max() for n in ("means", "opacities", "colors")
    ]
    assert (max(differences) < 1e-5) == invariant


def test_half_precision_stays_close():
    model = set_up(build("egstalker", FEW)).eval()
    conditions = make_conditions(2)
    exact, weights = model(conditions, "deform", 3), attention(model, conditions)
    with torch.autocast("cpu", torch.bfloat16):
        half, half_weights = model(conditions, "deform", 3), attention(model, conditions)
    offset = (exact.means - model.gaussians.params["means"]).abs().max()
    assert (half.means - exact.means).abs().max() <= 0.05 * offset
    assert half_weights.dtype == torch.float32 and (half_weights - weights).abs().max() < 0.02
    half.means.square().sum().backward()
    assert model.face.triplane.planes[0].grad.isfinite().all()
