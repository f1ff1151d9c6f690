"""Images and gradients of the numba kernels against the float64 reference."""

from __future__ import annotations

import pytest
import torch

from talksplat.rasterizer import NumbaRasterizer, TorchRasterizer
from talksplat.rasterizer.numba_functions import RasterizeFunction
from talksplat.rasterizer.projection import Projection, project_gaussians
from talksplat.rasterizer.synthetic import shell_scene
from talksplat.rasterizer.torch_rasterizer import _rasterize_frame


def plain(gaussians):
    pass


def dense(gaussians):
    gaussians.scales *= 2.5  # many layers: pixels stop early


def opaque(gaussians):
    gaussians.opacities.fill_(1.0)


def mixed_opacities(gaussians):
    gaussians.opacities[:, ::4] = 0.0
    gaussians.opacities[:, 1::4] = 1.0
    gaussians.opacities[:, 2::4] = 0.01


def huge(gaussians):
    gaussians.scales *= 30


def tiny(gaussians):
    gaussians.scales *= 0.05


def half_off_screen(gaussians):
    gaussians.means[..., 0] += 1.6


def equal_depths(gaussians):
    gaussians.means[..., 2] = 0.0


# Last: largest relative error of a gradient. It grows where what is left behind a nearly opaque Gaussian is divided by
# 1 - alpha = 0.001, and where moments about a centre a hundred pixels away cancel.
CASES = [  # change, width, height, channels, frames, Gaussians, gradient tolerance
    (plain, 128, 128, 3, 1, 2000, 1e-5),
    (plain, 117, 90, 3, 2, 2000, 1e-5),
    (plain, 37, 203, 1, 1, 1000, 1e-5),
    (plain, 64, 64, 4, 1, 1000, 1e-5),
    (plain, 64, 64, 8, 1, 1000, 1e-5),
    (plain, 1, 1, 3, 1, 50, 1e-5),
    (dense, 64, 64, 3, 1, 3000, 5e-5),
    (dense, 48, 48, 5, 1, 2000, 5e-5),
    (opaque, 64, 64, 3, 1, 1000, 1e-4),
    (mixed_opacities, 64, 64, 3, 1, 1000, 1e-5),
    (huge, 96, 64, 3, 1, 60, 3e-4),
    (tiny, 64, 64, 3, 1, 1000, 1e-5),
    (half_off_screen, 64, 64, 3, 1, 1000, 1e-5),
    (equal_depths, 64, 64, 3, 1, 1000, 1e-5),
]


def exact_scene(count, width, height, channels, frames, change):
    """A scene whose float64 numbers are float32 numbers, so that both rasterisers see the same input."""
    gaussians, viewmats, Ks = shell_scene(count, width, height, channels, frames, seed=2)
    change(gaussians)
    return gaussians._map(lambda tensor: tensor.double()), viewmats.double(), Ks.double()


def case_name(case):
    return f"{case[0].__name__}-{case[1]}x{case[2]}-K{case[3]}"


@pytest.mark.parametrize("case", CASES, ids=case_name)
def test_compositing_equals_reference(case, relative_error):
    """The 2D part alone, on the same projected Gaussians."""
    change, width, height, channels, _, count, tolerance = case
    gaussians, viewmats, Ks = exact_scene(count, width, height, channels, 1, change)
    projection = project_gaussians(gaussians, viewmats, Ks, width, height, near_plane=0.2, eps2d=0.3)
    inputs = [projection.means2d, projection.conics, gaussians.opacities, gaussians.colors, projection.depths]
    inputs = [tensor.float() for tensor in inputs]
    leaves32 = [tensor[0].clone().requires_grad_() for tensor in inputs[:4]]
    leaves64 = [tensor.detach().double()[None].requires_grad_() for tensor in leaves32]
    depths, radii = inputs[4], projection.radii
    same = Projection(leaves64[0], leaves64[1], depths.double(), radii)
    expected = _rasterize_frame(same, 0, leaves64[2][0], leaves64[3][0], width, height)
    output = RasterizeFunction.apply(*leaves32, depths[0], radii[0], width, height, None)
    # A pixel whose alpha is 1/255 to the last digit may fall on either side.
    flipped = (output[0] - expected[0]).abs().amax(-1) > 2e-6
    assert flipped.sum() <= 1, (output[0] - expected[0]).abs().max()
    assert (output[1] - expected[1])[~flipped].abs().max() < 2e-6
    for result in (output, expected):
        weights = [torch.sin(torch.arange(part.numel(), dtype=part.dtype)).reshape(part.shape) for part in result]
        sum((part * weight).sum() for part, weight in zip(result, weights)).backward()
    for name, leaf32, leaf64 in zip(("means2d", "conics", "opacities", "colors"), leaves32, leaves64):
        error = relative_error(leaf32.grad, leaf64.grad[0])
        assert error < tolerance, f"{name}: {error}"


@pytest.mark.parametrize("case", CASES, ids=case_name)
def test_whole_chain_equals_reference(case, render_with_gradients, relative_error):
    """With the projection, whose float32 rounding (1e-5 pixels) is most of the difference."""
    change, width, height, channels, frames, count, tolerance = case
    scene = exact_scene(count, width, height, channels, frames, change)
    expected, expected_gradients = render_with_gradients(TorchRasterizer(), scene, width, height, torch.float64)
    output, gradients = render_with_gradients(NumbaRasterizer(), scene, width, height)
    assert (expected.radii > 0).any() and torch.equal(output.radii, expected.radii)
    flipped = (output.image - expected.image).abs().amax(-1) > 1e-5
    assert flipped.sum() <= 2, (output.image - expected.image).abs().max()
    for name, gradient in gradients.items():
        error = relative_error(gradient, expected_gradients[name])
        assert error < 3 * tolerance, f"{name}: {error}"


def test_needles(render_with_gradients, relative_error):
    gaussians, viewmats, Ks = shell_scene(300, 64, 64)
    gaussians.scales[..., 0] *= 30
    gaussians.scales[..., 1:] *= 0.02
    scene = gaussians._map(lambda tensor: tensor.double()), viewmats.double(), Ks.double()
    expected, expected_gradients = render_with_gradients(TorchRasterizer(), scene, 64, 64, torch.float64)
    output, gradients = render_with_gradients(NumbaRasterizer(), scene, 64, 64)
    single, single_gradients = render_with_gradients(TorchRasterizer(), scene, 64, 64)
    assert (output.image - expected.image).norm() < 2 * (single.image - expected.image).norm() + 1e-6
    for name, gradient in gradients.items():
        limit = 10 * relative_error(single_gradients[name], expected_gradients[name]) + 1e-5
        assert relative_error(gradient, expected_gradients[name]) < limit, name
