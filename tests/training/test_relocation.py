"""Relocation of Gaussians: the equation, and what it is for: the image stays."""

from __future__ import annotations

import math

import pytest
import torch

from talksplat.rasterizer.torch_rasterizer import TorchRasterizer
from talksplat.training.density.relocation import MAX_COPIES, add, relocate, split_among
from talksplat.types import Gaussians
from tests.training.test_density import N, consistent, scene


def equation_9(opacity: float, count: int) -> tuple[float, float]:
    """The paper's double sum, in exact binomials and Python's floats: new opacity, factor of the scales."""
    new = 1 - (1 - opacity) ** (1 / count)
    total = math.fsum(
        math.comb(i - 1, k) * (-1) ** k * new ** (k + 1) / math.sqrt(k + 1)
        for i in range(1, count + 1)
        for k in range(i)
    )
    return new, opacity / total


@pytest.mark.parametrize("count", [1, 2, 3, 10, MAX_COPIES])
def test_equation_9(count: int) -> None:
    opacities = torch.tensor([0.006, 0.1, 0.5, 0.9, 0.999, 0.9999998], dtype=torch.float64)
    new, factors = split_among(opacities, torch.full((6,), count))
    expected = torch.tensor([equation_9(value, count) for value in opacities.tolist()], dtype=torch.float64)
    torch.testing.assert_close(torch.stack([new, factors], -1), expected, rtol=1e-9, atol=0)
    assert (new > 0).all() and (factors <= 1 + 1e-12).all()


def test_more_copies_than_the_table_has_count_as_its_last() -> None:
    half = torch.tensor([0.5])
    assert split_among(half, torch.tensor([1000])) == split_among(half, torch.tensor([MAX_COPIES]))


def rendered(params: torch.nn.ParameterDict, size: int = 48) -> torch.Tensor:
    """An image of Gaussians around the origin, seen from 10 dm."""
    viewmat = torch.eye(4)
    viewmat[2, 3] = 10.0
    K = torch.tensor([[size * 3.0, 0, size / 2], [0, size * 3.0, size / 2], [0, 0, 1]])
    colors = params["sh0"].squeeze(1).sigmoid()
    parts = (params["means"], params["quats"], params["scales"].exp(), params["opacities"].sigmoid(), colors)
    gaussians = Gaussians(*(part.detach()[None] for part in parts))
    return TorchRasterizer()(gaussians, viewmat[None], K[None], size, size).image[0]


@pytest.mark.parametrize("opacity", [-1.0, 0.0, 2.0])
def test_the_image_stays(opacity: float) -> None:
    """Twelve dead Gaussians revive on others; without the correction the image would change several times as much."""
    params, optimizers = scene(opacity, log_scale=-1.6)
    dead = torch.arange(N) < 12
    params["opacities"].data[dead] = -9.0
    before = rendered(params)
    values = {name: parameter.detach().clone() for name, parameter in params.items()}
    relocate(params, optimizers, dead, 0.005)
    corrected = (rendered(params) - before).abs()
    # The same places without new opacities and scales.
    params["opacities"].data[~dead] = values["opacities"][~dead]
    params["scales"].data[~dead] = values["scales"][~dead]
    params["opacities"].data[dead] = opacity
    params["scales"].data[dead] = -1.6
    naive = (rendered(params) - before).abs()
    assert corrected.mean() < 0.01 and corrected.max() < 0.15
    assert naive.mean() > 3 * corrected.mean()


def test_dead_ones_are_put_onto_living_ones_and_moments_begin_anew() -> None:
    params, optimizers = scene()
    dead = torch.arange(N) < 7
    params["opacities"].data[dead] = -9.0
    living = params["means"].detach()[~dead].clone()
    relocate(params, optimizers, dead, 0.005)
    assert len(params["means"]) == N and consistent(params, optimizers)
    places = [int((living == mean).all(-1).nonzero()) + 7 for mean in params["means"].detach()[dead]]
    assert (params["opacities"][dead].sigmoid() > 0.005).all()
    for name, parameter in params.items():
        torch.testing.assert_close(parameter[:7], parameter[places])
        moment = optimizers[name].state[parameter]["exp_avg"]
        assert (moment[:7] == 0).all() and (moment[places] == 0).all()
        others = [index for index in range(7, N) if index not in places]
        assert (moment[others] != 0).any(), name


def test_opaque_ones_are_drawn_more_often() -> None:
    params, optimizers = scene(opacity=-3.0)
    params["opacities"].data[-1] = 9.0
    dead = torch.arange(N) < 20
    relocate(params, optimizers, dead, 0.005)
    opaque = (params["means"][dead] == params["means"][-1]).all(-1)
    assert opaque.sum() > 5  # of 20; were all drawn alike, one


def test_new_ones_are_added_and_the_image_stays() -> None:
    params, optimizers = scene(opacity=0.0, log_scale=-1.6)
    before = rendered(params)
    add(params, optimizers, 10, 0.005)
    assert len(params["means"]) == N + 10 and consistent(params, optimizers)
    assert (rendered(params) - before).abs().mean() < 0.01


def test_where_all_are_dead_nothing_happens() -> None:
    params, optimizers = scene()
    before = params["means"].detach().clone()
    relocate(params, optimizers, torch.ones(N, dtype=torch.bool), 0.005)
    assert torch.equal(before, params["means"])
