"""On a machine with a CUDA GPU: gsplat, numba and the float64 reference draw the same image with the same gradients."""

from __future__ import annotations

import pytest
import torch

from talksplat.rasterizer import AutoRasterizer, GsplatRasterizer, NumbaRasterizer, TorchRasterizer
from talksplat.rasterizer.synthetic import shell_scene
from talksplat.types import Gaussians

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU"),
]
NAMES = ("means", "quats", "scales", "opacities", "colors", "viewmats", "backgrounds", "means2d")


def render(rasterizer, scene, width, height, device="cpu", dtype=torch.float32):
    """Image, transmittance, radii and all gradients of a random linear functional, on the CPU in float64."""
    gaussians, viewmats, Ks = scene
    generator = torch.Generator().manual_seed(1)
    frames, channels = len(viewmats), gaussians.colors.shape[-1]
    v_image = torch.randn(frames, height, width, channels, generator=generator).to(device, dtype)
    backgrounds = torch.rand(frames, height, width, channels, generator=generator)
    leaves = [getattr(gaussians, name) for name in NAMES[:5]] + [viewmats, backgrounds]
    leaves = [leaf.to(device, dtype).detach().clone().requires_grad_() for leaf in leaves]
    output = rasterizer(Gaussians(*leaves[:5]), leaves[5], Ks.to(device, dtype), width, height, leaves[6])
    output.means2d.retain_grad()
    (output.image * v_image).sum().backward()
    gradients = [leaf.grad for leaf in leaves] + [output.means2d.grad]
    parts = [part.detach().double().cpu() for part in (output.image, output.transmittance, output.radii, *gradients)]
    return parts[0], parts[1], parts[2], dict(zip(NAMES, parts[3:]))


def assert_same(result, expected, image_tolerance=2e-5, gradient_tolerance=2e-3):
    """Equal up to rounding, but for the rare pixels where an alpha of 1/255 falls on the other side of it."""
    difference = (result[0] - expected[0]).abs().amax(-1)
    assert (difference > image_tolerance).float().mean() < 2e-3, difference.max()
    assert difference.max() < 2e-2
    assert ((result[1] - expected[1]).abs() > image_tolerance).float().mean() < 2e-3
    assert (result[2] - expected[2]).abs().max() <= 1  # the fast logarithm may move a ceil
    for name in NAMES:
        value, reference = result[3][name], expected[3][name]
        error = (value - reference).norm() / reference.norm()
        assert error < gradient_tolerance, f"{name}: {error}"


@pytest.mark.parametrize(
    "width,height,channels,frames,count",
    [
        (128, 128, 3, 1, 3000),
        (117, 90, 3, 3, 3000),
        (64, 64, 1, 2, 800),
        (64, 48, 8, 2, 800),
        (48, 48, 40, 1, 500),
        (32, 32, 3, 4, 10),
    ],
)
def test_three_rasterizers_agree(width, height, channels, frames, count):
    scene = shell_scene(count, width, height, channels, frames)
    reference = render(TorchRasterizer(), scene, width, height, dtype=torch.float64)
    numba = render(NumbaRasterizer(), scene, width, height)
    gsplat = render(GsplatRasterizer(), scene, width, height, device="cuda")
    assert_same(gsplat, reference)
    assert_same(gsplat, numba)
    assert_same(numba, reference)


def test_many_layers_and_early_stop():
    scene = shell_scene(6000, 96, 96, frames=2)
    scene[0].scales *= 2
    reference = render(TorchRasterizer(), scene, 96, 96, dtype=torch.float64)
    gsplat = render(GsplatRasterizer(), scene, 96, 96, device="cuda")
    assert reference[1].min() < 1e-3
    assert_same(gsplat, reference, gradient_tolerance=1e-2)  # recovers T by division, back to front


def test_gradient_of_means2d_is_filled():
    gaussians, viewmats, Ks = (part.to("cuda") for part in shell_scene(500, 64, 64, frames=2))
    gaussians.means.requires_grad_()
    output = GsplatRasterizer()(gaussians, viewmats, Ks, 64, 64)
    output.means2d.retain_grad()
    output.image.sum().backward()
    assert output.means2d.shape == (2, 500, 2) and output.means2d.grad.abs().sum() > 0


def test_absolute_gradients_are_those_of_the_reference():
    scene = shell_scene(800, 64, 48, frames=3)

    def absolute(rasterizer, device, dtype):
        gaussians, viewmats, Ks = (part.to(device) for part in scene)
        gaussians = gaussians._map(lambda tensor: tensor.to(dtype))
        gaussians.means.requires_grad_()
        output = rasterizer(gaussians, viewmats.to(dtype), Ks.to(dtype), 64, 48, absgrad=True)
        output.means2d.retain_grad()
        weights = torch.randn(3, 48, 64, 3, generator=torch.Generator().manual_seed(2)).to(device, dtype)
        (output.image * weights).sum().backward()
        return output.means2d.absgrad.double().cpu(), output.means2d.grad.double().cpu()

    expected, usual = absolute(TorchRasterizer(), "cpu", torch.float64)
    for rasterizer in (GsplatRasterizer(), AutoRasterizer()):
        found, found_usual = absolute(rasterizer, "cuda", torch.float32)
        assert found.shape == (3, 800, 2)
        assert (found - expected).norm() < 2e-3 * expected.norm()
        assert (found_usual - usual).norm() < 2e-3 * usual.norm()
    assert expected.sum() > 1.5 * usual.abs().sum()


def test_auto_takes_gsplat_and_autocast_changes_nothing():
    gaussians, viewmats, Ks = (part.to("cuda") for part in shell_scene(500, 64, 64))
    expected = GsplatRasterizer()(gaussians, viewmats, Ks, 64, 64).image
    with torch.autocast("cuda", dtype=torch.bfloat16), torch.no_grad():
        image = AutoRasterizer()(gaussians, viewmats, Ks, 64, 64).image
    assert image.dtype == torch.float32
    torch.testing.assert_close(image, expected)


def test_nothing_visible():
    gaussians, viewmats, Ks = shell_scene(50, 32, 32)
    gaussians.means[..., 2] += 100
    image, transmittance, radii, gradients = render(GsplatRasterizer(), (gaussians, viewmats, Ks), 32, 32, "cuda")
    assert (transmittance == 1).all() and (radii == 0).all() and (gradients["means"] == 0).all()
