"""The numba rasteriser against the float64 reference, and what it promises besides."""

from __future__ import annotations

import pytest
import torch

from talksplat.errors import UserError
from talksplat.rasterizer import AutoRasterizer, GsplatRasterizer, NumbaRasterizer, TorchRasterizer
from talksplat.rasterizer.numba_functions import RasterizeFunction
from talksplat.rasterizer.projection import Projection, project_gaussians
from talksplat.rasterizer.synthetic import shell_scene
from talksplat.rasterizer.torch_rasterizer import _rasterize_frame
from talksplat.types import Gaussians


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


def test_equal_depths_are_drawn_in_list_order():
    gaussians, viewmats, Ks = shell_scene(2, 32, 32)
    gaussians.means[:] = 0
    gaussians.opacities[:] = 0.9
    gaussians.colors[:] = torch.tensor([[1.0, 0, 0], [0, 1.0, 0]])
    image = NumbaRasterizer()(gaussians, viewmats, Ks, 32, 32).image[0, 15, 15]
    assert image[0] > 3 * image[1]


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


@pytest.mark.parametrize("rasterizer", [NumbaRasterizer(), TorchRasterizer()], ids=["numba", "torch"])
def test_nothing_visible(rasterizer, render_with_gradients):
    gaussians, viewmats, Ks = shell_scene(50, 20, 20)
    gaussians.means[..., 2] += 100  # behind the camera
    output, gradients = render_with_gradients(rasterizer, (gaussians, viewmats, Ks), 20, 20)
    assert (output.transmittance == 1).all() and (output.radii == 0).all()
    assert all((gradients[name] == 0).all() for name in gradients if name != "backgrounds")
    empty = gaussians._map(lambda tensor: tensor[:, :0])
    assert (rasterizer(empty, viewmats, Ks, 20, 20).image == 0).all()


@pytest.mark.parametrize("rasterizer", [NumbaRasterizer(), TorchRasterizer()], ids=["numba", "torch"])
def test_broken_gaussians_are_left_out(rasterizer, render_with_gradients):
    gaussians, viewmats, Ks = shell_scene(200, 32, 32)
    expected, expected_gradients = render_with_gradients(rasterizer, (gaussians, viewmats, Ks), 32, 32)
    extra = gaussians._map(lambda tensor: tensor[:, :9].clone())
    extra.means[:, 0, 1], extra.means[:, 1] = float("nan"), float("inf")
    extra.quats[:, 2], extra.quats[:, 3] = float("nan"), 0.0
    extra.scales[:, 4, 0], extra.scales[:, 5] = float("inf"), float("nan")
    extra.opacities[:, 6], extra.colors[:, 7, 1] = float("nan"), float("nan")
    extra.means[:, 8] = -torch.linalg.inv(viewmats)[:, :3, 3]
    extra.opacities[:, 8] = 0.0
    both = Gaussians(*(torch.cat(pair, 1) for pair in zip(vars(gaussians).values(), vars(extra).values())))
    output, gradients = render_with_gradients(rasterizer, (both, viewmats, Ks), 32, 32)
    assert torch.equal(output.image, expected.image)
    assert (gradients["means"][:, 200:] == 0).all()
    for name, gradient in gradients.items():
        assert torch.isfinite(gradient).all(), name
        kept = gradient[:, :200] if name in ("means", "quats", "scales", "opacities", "colors") else gradient
        torch.testing.assert_close(kept[:, : expected_gradients[name].shape[1]], expected_gradients[name])


def test_threads_do_not_change_a_bit(render_with_gradients):
    scene = shell_scene(3000, 100, 70, frames=2)
    first, first_gradients = render_with_gradients(NumbaRasterizer(threads=1), scene, 100, 70)
    second, second_gradients = render_with_gradients(NumbaRasterizer(threads=2), scene, 100, 70)
    assert torch.equal(first.image, second.image) and torch.equal(first.transmittance, second.transmittance)
    for name in first_gradients:
        assert torch.equal(first_gradients[name], second_gradients[name]), name


def test_torch_keeps_its_thread_count():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        gaussians, viewmats, Ks = shell_scene(100, 32, 32)
        NumbaRasterizer(threads=2)(gaussians, viewmats, Ks, 32, 32)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_without_gradients_gives_the_same_image(render_with_gradients):
    gaussians, viewmats, Ks = shell_scene(1000, 64, 64)
    expected, _ = render_with_gradients(NumbaRasterizer(), (gaussians, viewmats, Ks), 64, 64, background=False)
    with torch.inference_mode():
        output = NumbaRasterizer()(gaussians, viewmats, Ks, 64, 64)
    assert torch.equal(output.image, expected.image)


def test_background_shows_where_nothing_is_and_gets_the_transmittance_as_gradient():
    gaussians, viewmats, Ks = shell_scene(500, 64, 64)
    backgrounds = torch.rand(1, 64, 64, 3).requires_grad_()
    output = NumbaRasterizer()(gaussians, viewmats, Ks, 64, 64, backgrounds)
    assert torch.equal(output.image[0, 0, 0], backgrounds[0, 0, 0])
    output.image.sum().backward()
    torch.testing.assert_close(backgrounds.grad, output.transmittance[..., None].expand(-1, -1, -1, 3))


def test_fit_of_an_image_converges():
    target_scene, viewmats, Ks = shell_scene(300, 32, 32, seed=7)
    rasterizer = NumbaRasterizer()
    with torch.no_grad():
        target = rasterizer(target_scene, viewmats, Ks, 32, 32).image
    start, _, _ = shell_scene(300, 32, 32, seed=8)
    means, quats, scales = (part.clone().requires_grad_() for part in (start.means, start.quats, start.scales.log()))
    opacities, colors = (torch.logit(part, 1e-4).requires_grad_() for part in (start.opacities, start.colors))
    optimizer = torch.optim.Adam([means, quats, scales, opacities, colors], lr=0.02)
    losses = []
    for _ in range(60):
        gaussians = Gaussians(means, quats, scales.exp(), opacities.sigmoid(), colors.sigmoid())
        loss = (rasterizer(gaussians, viewmats, Ks, 32, 32).image - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 10


def test_auto_takes_numba_for_cpu_tensors_and_gsplat_refuses_them():
    gaussians, viewmats, Ks = shell_scene(100, 32, 32)
    assert torch.equal(
        AutoRasterizer()(gaussians, viewmats, Ks, 32, 32).image,
        NumbaRasterizer()(gaussians, viewmats, Ks, 32, 32).image,
    )
    with pytest.raises(UserError, match="cpu"):
        GsplatRasterizer()(gaussians, viewmats, Ks, 32, 32)


def test_auto_falls_back_to_torch_without_numba(monkeypatch, caplog):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    rasterizer = AutoRasterizer()
    assert isinstance(rasterizer.cpu, TorchRasterizer) and "numba is not installed" in caplog.text


def test_bad_input_is_named():
    gaussians, viewmats, Ks = shell_scene(10, 32, 32)
    with pytest.raises(ValueError, match="viewmats"):
        NumbaRasterizer()(gaussians, viewmats[0], Ks, 32, 32)
    with pytest.raises(UserError, match="threads"):
        NumbaRasterizer(threads=0)
