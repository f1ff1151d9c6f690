"""MCMC density control: noise, cap, and Gaussians that revive."""

from __future__ import annotations

import pytest
import torch
from gsplat.utils import normalized_quat_to_rotmat
from torch import nn

from talksplat.errors import UserError
from talksplat.training.density.mcmc import MCMCDensity
from tests.training.test_density import N, consistent, scene


def moved(control: MCMCDensity, params: nn.ParameterDict, rate: float = 1e-3) -> torch.Tensor:
    """What a step adds to the means."""
    before = params["means"].detach().clone()
    control.after_step(params, {}, 3, {"means": rate})
    return params["means"].detach() - before


def crowd(opacity: float) -> nn.ParameterDict:
    """Many Gaussians that are alike: long, turned."""
    count = 20_000
    return nn.ParameterDict(
        {
            "means": torch.zeros(count, 3),
            "scales": torch.tensor([-1.0, -2.0, -3.0]).expand(count, 3).clone(),
            "quats": torch.tensor([2.0, 0.4, -1.0, 0.6]).expand(count, 4).clone(),
            "opacities": torch.full((count,), opacity),
        }
    )


def test_noise_has_the_covariance_of_the_paper() -> None:
    """lr * noise * sigmoid(-100 (opacity - 0.005)) * Sigma eta: its covariance is the square of that, with Sigma twice."""
    params = crowd(opacity=-5.0)
    drawn = moved(MCMCDensity(noise=100.0), params, rate=0.02)
    axes = normalized_quat_to_rotmat(nn.functional.normalize(params["quats"][:1], dim=-1))[0]
    sigma = axes @ torch.diag((2 * params["scales"][0]).exp()) @ axes.T
    share = 0.02 * 100.0 * torch.sigmoid(100 * (0.005 - torch.tensor(-5.0).sigmoid()))
    expected = share**2 * sigma @ sigma
    found = drawn.T @ drawn / len(drawn)
    assert (found - expected).abs().max() < 0.03 * expected.abs().max()
    assert drawn.mean(0).abs().max() < 0.03 * expected.diagonal().max().sqrt()


def test_noise_follows_the_learning_rate_and_spares_what_is_seen() -> None:
    control = MCMCDensity()
    assert moved(control, crowd(-5.0), rate=0.0).abs().max() == 0
    assert moved(control, crowd(2.0)).abs().max() < 1e-6 * moved(control, crowd(-8.0)).abs().max()
    assert control.acts_after(0) and control.acts_after(10**6), "also once refinement is over"
    assert not MCMCDensity(noise=0.0).acts_after(0)


def test_dead_gaussians_revive_and_the_cap_holds() -> None:
    params, optimizers = scene()
    params["opacities"].data[:10] = -9.0
    control = MCMCDensity(start=0, every=1, max_gaussians=N + 3, growth=0.05)
    for step in range(1, 6):
        control.refine(params, optimizers, step)
        assert (params["opacities"].sigmoid() > 0.005).all()
        assert len(params["means"]) == min(N + 2 * step, N + 3) and consistent(params, optimizers)


def test_penalty_pulls_opacities_and_scales_down() -> None:
    params, _ = scene(opacity=0.0, log_scale=0.0)
    for parameter in params.values():
        parameter.grad = None
    penalty = MCMCDensity(opacity_weight=0.4, scale_weight=0.7).penalty(params)
    assert penalty.item() == pytest.approx(
        0.4 * params["opacities"].sigmoid().mean().item() + 0.7 * params["scales"].exp().mean().item()
    )
    penalty.backward()
    assert (params["opacities"].grad > 0).all() and (params["scales"].grad > 0).all()
    assert params["means"].grad is None


@pytest.mark.parametrize(("predicted", "kept"), [(["opacities", "sh"], "[sh]"), (["scales", "quats"], "[]")])
def test_predicted_opacities_and_scales_are_refused(predicted: list[str], kept: str) -> None:
    with pytest.raises(UserError, match=r"model\.canonical\.factors=") as error:
        MCMCDensity().check("stage.stages.coarse.density", 30_000, predicted)
    assert f"factors={kept}" in str(error.value) and predicted[0] in str(error.value)
    MCMCDensity().check("stage.stages.coarse.density", 30_000, ["sh"])


@pytest.mark.parametrize("wrong", [{"growth": -0.1}, {"min_opacity": 0.0}, {"noise": -1.0}, {"scale_weight": -1.0}])
def test_wrong_settings(wrong: dict) -> None:
    with pytest.raises(UserError, match=next(iter(wrong))):
        MCMCDensity(**wrong)
