from __future__ import annotations

import numpy as np
import pytest
import torch

from talksplat.errors import UserError
from talksplat.geometry.cameras import camera_centers
from talksplat.geometry.spherical_harmonics import evaluate_sh
from talksplat.models.gaussians.parameters import GaussianParameters
from talksplat.models.gaussians.start_points import resample_points
from tests.models.building import make_conditions, sphere


def test_start_values():
    grid = np.stack(np.meshgrid(*[np.arange(4)] * 3), -1).reshape(-1, 3).astype(np.float32) * 0.1
    colors = np.full((64, 3), (255, 0, 128), dtype=np.uint8)
    gaussians = GaussianParameters(scale_range=(1e-4, 0.5))
    gaussians.initialize(torch.from_numpy(grid), torch.from_numpy(colors))
    raw = gaussians.raw()
    assert torch.allclose(raw.scales.exp(), torch.tensor(0.1), atol=1e-6)  # a grid: three neighbours at 0.1 each
    assert torch.allclose(raw.opacities.sigmoid(), torch.tensor(0.1))
    assert torch.equal(raw.quats, torch.tensor([1.0, 0, 0, 0]).expand(64, 4))
    shown = raw.activate(make_conditions(2).viewmats, 3).colors
    assert torch.allclose(shown, torch.tensor([1.0, 0, 128 / 255]).expand(2, 64, 3), atol=1e-6)


def test_scales_are_clamped_and_grey_without_colors():
    points = np.array([[0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0], [9, 9, 9]], dtype=np.float32)
    gaussians = GaussianParameters(scale_range=(0.01, 0.3))
    gaussians.initialize(torch.from_numpy(points), None)
    assert torch.allclose(gaussians.raw().scales.exp()[[0, 4], 0], torch.tensor([0.01, 0.3]))
    assert torch.equal(gaussians.raw().sh, torch.zeros(5, 16, 3))


def test_colors_follow_the_view_and_the_active_degree():
    gaussians = GaussianParameters()
    gaussians.initialize(sphere(30), None)
    torch.nn.init.normal_(gaussians.params["shN"])
    viewmats = make_conditions(3).viewmats
    rays = gaussians.params["means"] - camera_centers(viewmats)[:, None]
    rays = rays / rays.norm(dim=-1, keepdim=True)
    for degree in range(4):
        expected = evaluate_sh(gaussians.raw().sh.expand(3, -1, -1, -1), rays, degree).clamp_min(0)
        shown = gaussians.raw().activate(viewmats, degree).colors
        assert torch.allclose(shown, expected, atol=1e-6)
        assert (shown.std(dim=0).mean() > 1e-3) == (degree > 0)
    assert (shown == 0).any() and shown.min() >= 0


@pytest.mark.parametrize("count", [300, 999, 1000, 1001, 2600])
def test_resample_gives_the_number_asked_for(count):
    points = sphere(1000).numpy()
    colors = (points * 127 + 128).astype(np.uint8)
    new, new_colors = resample_points(points, colors, count)
    assert new.shape == (count, 3) and new_colors.shape == (count, 3) and new.dtype == np.float32
    assert np.abs(np.linalg.norm(new, axis=1) - 1).max() < 0.05  # still on the surface
    assert np.abs(new * 127 + 128 - new_colors.astype(float)).max() < 4  # colours go with their points
    if count <= 1000:
        assert len(np.unique(new, axis=0)) == count


def test_thinning_is_more_even_than_chance():
    points = sphere(4000).numpy()
    new, _ = resample_points(points, None, 500)
    reach = lambda kept: np.linalg.norm(points[:, None] - kept[None], axis=-1).min(axis=1).max()
    chance = np.random.default_rng(0).choice(4000, 500, replace=False)
    assert reach(new) < 0.8 * reach(points[chance])


@pytest.mark.parametrize(
    ("points", "colors", "count", "words"),
    [
        (np.zeros((3, 3)), None, None, "at least 4"),
        (np.full((9, 3), np.nan), None, None, "finite"),
        (np.zeros((9, 3)), np.zeros((8, 3), np.uint8), None, "8 vertex colours"),
        (np.zeros((9, 3)), None, 0, "num_points"),
    ],
)
def test_unusable_points(points, colors, count, words):
    with pytest.raises(UserError, match=words):
        resample_points(points, colors, count)


@pytest.mark.parametrize("count", [20, 90])
def test_number_of_start_points(count):
    gaussians = GaussianParameters(num_points=count)
    gaussians.initialize(sphere(40), None)
    assert gaussians.num_gaussians == count


def test_unusable_settings():
    with pytest.raises(UserError, match="sh_degree"):
        GaussianParameters(sh_degree=4)
    with pytest.raises(UserError, match="initial_opacity"):
        GaussianParameters(initial_opacity=1.0)
