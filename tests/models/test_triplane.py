from __future__ import annotations

import torch

from talksplat.models.gaussians.canonical import CanonicalMLP
from talksplat.models.gaussians.triplane import TriPlane
from tests.models.building import sphere


def test_parameter_count_and_width():
    planes = TriPlane(init_resolution=None)
    assert sum(p.numel() for p in planes.parameters()) == 1_966_080
    assert planes(sphere(5)).shape == (5, 64)
    assert all(p.min() >= 0.1 and p.max() <= 0.5 for p in planes.parameters())


def test_outside_the_box_is_clamped_to_its_border():
    planes = TriPlane()
    planes.fit_bounds(torch.tensor([[-1.0, -2.0, -3.0], [1.0, 2.0, 3.0]]))
    low, high = planes.bounds
    assert torch.allclose(high, torch.tensor([1.2, 2.4, 3.6]))
    border = torch.stack([high, low, torch.tensor([1.2, 0.3, -3.6])])
    outside = border * torch.tensor([[1.5], [2.0], [1.0]]) + torch.tensor([[0, 0, 0], [0, 0, 0], [5.0, 0, -1.0]])
    assert torch.allclose(planes(outside), planes(border), atol=1e-6)
    assert not torch.allclose(planes(0.9 * border), planes(border), atol=1e-3)


def test_samples_are_bilinear_and_multiplied():
    planes = TriPlane(resolutions=(3,), channels=1, margin=1.0, init_resolution=None)
    planes.fit_bounds(torch.tensor([[0.0, 0.0, 0.0], [2.0, 2.0, 2.0]]))
    xy, xz, yz = planes.planes[0][:, 0]
    # rows follow the second axis of a plane, columns the first; at (1.5, 1, 0)
    expected = (xy[1, 1] + xy[1, 2]) / 2 * (xz[0, 1] + xz[0, 2]) / 2 * yz[0, 1]
    assert torch.allclose(planes(torch.tensor([[1.5, 1.0, 0.0]])).squeeze(), expected, atol=1e-6)


def test_gradient_reaches_planes_and_positions():
    planes = TriPlane()
    points = (0.5 * sphere(20)).requires_grad_()
    planes(points).square().sum().backward()
    assert points.grad.abs().sum() > 0 and all(p.grad.abs().sum() > 0 for p in planes.parameters())


def test_smooth_start_gives_neighbours_like_features():
    torch.manual_seed(0)
    change = {}
    for resolution in (None, 16):
        planes = TriPlane(init_resolution=resolution)
        points = 0.5 * sphere(200)
        features = planes(points)
        change[resolution] = ((planes(points + 0.02) - features).norm() / (features - features.mean(0)).norm()).item()
    assert change[16] < 0.5 * change[None]


def test_canonical_counts_factors_and_scale_shift():
    everything = CanonicalMLP(factors=["scales", "quats", "opacities", "sh"])
    assert sum(p.numel() for p in everything.parameters()) == 98_104
    torch.nn.init.zeros_(everything.heads.outputs["scales"].weight)
    shapes = {name: tuple(value.shape) for name, value in everything(torch.rand(7, 64)).items()}
    assert shapes == {"scales": (7, 3), "quats": (7, 4), "opacities": (7,), "sh": (7, 16, 3)}
    assert torch.equal(everything(torch.rand(7, 64))["scales"], torch.full((7, 3), -2.0))
    assert CanonicalMLP(factors=[])(torch.rand(7, 64)) == {}
