"""Density control: what it adds, what it removes, what it must never do."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.optim import Adam

from talksplat.training.density.adaptive import AdaptiveDensity
from talksplat.training.density.gsplat_default import GsplatDensity
from talksplat.types import RenderOutput

N = 40


def scene(opacity: float = 2.0, log_scale: float = -6.0) -> tuple[nn.ParameterDict, dict[str, Adam]]:
    """Parameters in the layout of the model, with Adam states."""
    params = nn.ParameterDict(
        {
            "means": nn.Parameter(torch.randn(N, 3)),
            "scales": nn.Parameter(torch.full((N, 3), log_scale)),
            "quats": nn.Parameter(torch.randn(N, 4)),
            "opacities": nn.Parameter(torch.full((N,), opacity)),
            "sh0": nn.Parameter(torch.randn(N, 1, 3)),
            "shN": nn.Parameter(torch.randn(N, 3, 3)),
        }
    )
    optimizers = {name: Adam([params[name]], lr=1e-3) for name in params}
    sum(parameter.square().sum() for parameter in params.values()).backward()
    for optimizer in optimizers.values():
        optimizer.step()
    return params, optimizers


def output(gradient: torch.Tensor, batch: int = 1, width: int = 64) -> RenderOutput:
    """A rendering whose 2D means have the given gradient [N, 2] in each frame."""
    n = len(gradient)
    means2d = torch.zeros(batch, n, 2, requires_grad=True)
    means2d.grad = gradient.expand(batch, n, 2).clone()
    radii = torch.ones(batch, n, 2, dtype=torch.int32)
    return RenderOutput(torch.zeros(batch, width, width, 3), torch.zeros(batch, width, width), means2d, radii)


def consistent(params: nn.ParameterDict, optimizers: dict[str, Adam]) -> bool:
    """Every parameter, its optimiser and its moments have the same length."""
    lengths = {len(p) for p in params.values()}
    for name, optimizer in optimizers.items():
        held = optimizer.param_groups[0]["params"][0]
        assert held is params[name]
        lengths |= {len(v) for v in optimizer.state[held].values() if v.ndim}
    return len(lengths) == 1


def test_small_gaussians_with_large_gradients_are_cloned() -> None:
    params, optimizers = scene()
    control = AdaptiveDensity(grad_threshold=1e-3, start=0, prune_start=0, every=1)
    control.initialize(1.0)
    gradient = torch.zeros(N, 2)
    gradient[:7, 0] = 1e-4  # times 32 pixels: above the threshold
    control.observe(params, control.statistics(output(gradient), 64, 64))
    control.refine(params, optimizers, step=5)
    assert len(params["means"]) == N + 7
    assert consistent(params, optimizers)
    torch.testing.assert_close(params["means"][-7:], params["means"][:7])


def test_gradient_of_a_batch_counts_as_one_frame_each() -> None:
    """A loss averaged over B frames has gradients 1/B as large; the decision must not depend on B."""
    for batch in (1, 4):
        params, optimizers = scene()
        control = AdaptiveDensity(grad_threshold=1e-3, start=0, prune_start=0, every=1)
        control.observe(params, control.statistics(output(torch.full((N, 2), 3e-5 / batch), batch), 64, 64))
        assert control.stats["gradient"][0] / control.stats["count"][0] == pytest.approx(3e-5 * 32 * 2**0.5, rel=1e-5)


def test_large_gaussians_are_split_and_shrink() -> None:
    params, optimizers = scene(log_scale=-1.0)
    control = AdaptiveDensity(grad_threshold=1e-3, start=0, prune_start=0, every=1, max_scale=None)
    control.observe(params, control.statistics(output(torch.full((N, 2), 1.0)), 64, 64))
    control.refine(params, optimizers, 5)
    assert len(params["means"]) == 2 * N
    assert consistent(params, optimizers)
    assert params["scales"].exp().max() < torch.tensor(-1.0).exp() / 1.5


def test_cap_is_a_cap() -> None:
    params, optimizers = scene()
    control = AdaptiveDensity(grad_threshold=1e-3, start=0, prune_start=0, every=1, max_gaussians=N + 3)
    control.observe(params, control.statistics(output(torch.full((N, 2), 1.0)), 64, 64))
    control.refine(params, optimizers, 5)
    assert len(params["means"]) == N + 3


def test_transparent_gaussians_are_pruned_unless_switched_off() -> None:
    for min_opacity, expected in ((0.005, N - 10), (None, N)):
        params, optimizers = scene()
        params["opacities"].data[:10] = -8.0
        control = AdaptiveDensity(start=0, prune_start=0, every=1, min_opacity=min_opacity)
        control.observe(params, control.statistics(output(torch.zeros(N, 2)), 64, 64))
        control.refine(params, optimizers, 5)
        assert len(params["means"]) == expected


def test_no_collapse() -> None:
    """Even when every Gaussian looks superfluous, half of them stay."""
    params, optimizers = scene(opacity=-9.0)
    control = AdaptiveDensity(start=0, prune_start=0, every=1, min_keep=0.5)
    for step in range(1, 6):
        control.observe(params, control.statistics(output(torch.zeros(len(params["means"]), 2)), 64, 64))
        control.refine(params, optimizers, step)
    assert len(params["means"]) == N // 2


def test_state_round_trip() -> None:
    params, _ = scene()
    control = AdaptiveDensity()
    control.initialize(2.5)
    control.observe(params, control.statistics(output(torch.ones(N, 2)), 64, 64))
    other = AdaptiveDensity()
    other.load_state_dict(control.state_dict())
    assert other.scene_scale == 2.5
    assert other.initial_count == N
    torch.testing.assert_close(other.stats["gradient"], control.stats["gradient"])


def test_gsplat_strategy_grows_too() -> None:
    params, optimizers = scene()
    control = GsplatDensity(grad_threshold=1e-3, start=0, stop=100, every=1)
    control.initialize(1.0)
    control.observe(params, control.statistics(output(torch.full((N, 2), 1.0)), 64, 64))
    control.refine(params, optimizers, 5)
    assert len(params["means"]) == 2 * N
    assert consistent(params, optimizers)


def test_nothing_is_done_after_a_step_unless_a_strategy_wants_it() -> None:
    params, _ = scene()
    for control in (AdaptiveDensity(), GsplatDensity()):
        assert not control.acts_after(1000) and control.penalty(params) is None


def test_opacities_are_reset_with_their_moments() -> None:
    params, optimizers = scene()
    params["opacities"].data[:5] = -6.0
    control = AdaptiveDensity(start=10, prune_start=10, every=10, stop=100, opacity_reset_every=25)
    assert [step for step in range(60) if control.refines_at(step)] == [20, 25, 30, 40, 50]
    control.observe(params, control.statistics(output(torch.ones(N, 2)), 64, 64))
    control.refine(params, optimizers, 25)
    opacities = params["opacities"].sigmoid()
    torch.testing.assert_close(opacities[5:], torch.full((N - 5,), 0.01))
    assert (params["opacities"][:5] == -6.0).all(), "lower ones stay"
    assert len(params["means"]) == N and consistent(params, optimizers)
    for name, parameter in params.items():
        moments = optimizers[name].state[parameter]
        for moment in (moments["exp_avg"], moments["exp_avg_sq"]):
            assert (moment == 0).all() == (name == "opacities")
    assert control.stats, "what was observed waits for the next refinement"
    control.refine(params, optimizers, 30)
    assert len(params["means"]) > N - 5 and (params["opacities"].sigmoid() > 0.005).all()


def test_absolute_gradients_count_where_they_are_wanted() -> None:
    """Pixels that pull a Gaussian in opposite directions cancel in the usual gradient."""
    for absgrad, expected in ((False, N), (True, N + 7)):
        params, optimizers = scene()
        control = AdaptiveDensity(grad_threshold=1e-3, start=0, prune_start=0, every=1, absgrad=absgrad)
        shown = output(torch.zeros(N, 2))
        shown.means2d.absgrad = torch.zeros(1, N, 2)
        shown.means2d.absgrad[:, :7, 1] = 1e-4
        control.observe(params, control.statistics(shown, 64, 64))
        control.refine(params, optimizers, step=5)
        assert len(params["means"]) == expected
