"""Schedules of a stage."""

from __future__ import annotations

import pytest
import torch

from talksplat.errors import UserError
from talksplat.geometry.cameras import viewmat_from_euler_trans
from talksplat.training.schedule import Constant, Cosine
from talksplat.training.stage import LearningRates, Stage, StagePlan, camera_spread


def test_learning_rates_fall_log_linearly_over_the_stage() -> None:
    rates = LearningRates(means=[1e-2, 1e-4])
    assert rates.at("means", 0, 100, spread=5.0) == pytest.approx(1e-2)
    assert rates.at("means", 50, 100, spread=5.0) == pytest.approx(1e-3)
    assert rates.at("means", 100, 100, spread=5.0) == pytest.approx(1e-4)


def test_cosine_and_constant_schedules() -> None:
    rates = LearningRates(means=[1e-2, 1e-4], schedule=Cosine())
    for step, expected in ((0, 1e-2), (25, 1e-4 + 9.9e-3 * 0.8535534), (50, 5.05e-3), (100, 1e-4), (200, 1e-4)):
        assert rates.at("means", step, 100, 1.0) == pytest.approx(expected)
    assert LearningRates(means=[1e-2, 1e-4], schedule=Cosine(), horizon=50).at("means", 25, 100, 1.0) == pytest.approx(
        5.05e-3
    )
    assert LearningRates(means=[1e-2, 1e-4], schedule=Constant()).at("means", 77, 100, 1.0) == 1e-2


def test_horizon_of_the_original_is_never_reached() -> None:
    """GaussianTalker's decay runs over 20,000 steps: after 8,000 the means are at 0.16 of their first rate."""
    rates = LearningRates(horizon=20_000)
    assert rates.at("means", 8000, 7999, 1.0) / rates.at("means", 0, 7999, 1.0) == pytest.approx(0.1585, abs=1e-3)


def test_spread_scales_positions_and_networks_only() -> None:
    rates = LearningRates(scale="camera_spread")
    plain = LearningRates()
    for group, factor in (("means", 3), ("networks", 3), ("triplane", 3), ("scales", 1), ("sh0", 1)):
        assert rates.at(group, 0, 10, 3.0) == pytest.approx(factor * plain.at(group, 0, 10, 3.0))


@pytest.mark.parametrize("scale", [1.0, 2.0, "camera_spread"])
def test_a_speech_model_learns_at_a_tenth_of_the_networks(scale: float | str) -> None:
    rates = LearningRates(networks=[1e-3, 1e-5], scale=scale)
    for step in (0, 5, 10):
        assert rates.at("audio_backbone", step, 10, 3.0) == pytest.approx(0.1 * rates.at("networks", step, 10, 3.0))
    assert LearningRates(audio_backbone=[1e-6]).at("audio_backbone", 5, 10, 1.0) == pytest.approx(1e-6)


def test_camera_spread_is_1_1_times_the_largest_distance() -> None:
    euler = torch.zeros(2, 3)
    trans = torch.tensor([[0.0, 0, -10], [2.0, 0, -10]])
    assert camera_spread(viewmat_from_euler_trans(euler, trans)) == pytest.approx(1.1)


def test_sh_degree_grows() -> None:
    stage = Stage("canonical", 10, 1, LearningRates(), sh_degree_every=3)
    assert [stage.sh_degree(step, 2) for step in (0, 2, 3, 6, 9)] == [0, 0, 1, 2, 2]
    assert Stage("canonical", 10, 1, LearningRates()).sh_degree(0, 3) == 3


@pytest.mark.parametrize(
    "rates",
    [{"means": []}, {"networks": [1e-3, 0.0]}, {"sh0": [-1.0]}, {"means": [1, 2, 3]}, {"audio_backbone": [0.0, 1]}],
)
def test_bad_learning_rates_are_refused(rates: dict) -> None:
    with pytest.raises(UserError, match=next(iter(rates))):
        LearningRates(**rates)


def test_plan_refuses_unknown_stages() -> None:
    stage = Stage("canonical", 10, 1, LearningRates())
    with pytest.raises(UserError, match="fine"):
        StagePlan(["fine"], {"coarse": stage}, True, "")
