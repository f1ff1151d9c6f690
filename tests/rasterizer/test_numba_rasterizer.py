"""What the CPU rasterisers promise besides the right numbers (those are in test_numba_parity.py)."""

from __future__ import annotations

import time

import pytest
import torch

from talksplat.errors import UserError
from talksplat.rasterizer import AutoRasterizer, GsplatRasterizer, NumbaRasterizer, TorchRasterizer
from talksplat.rasterizer.synthetic import shell_scene
from talksplat.types import Gaussians


def test_equal_depths_are_drawn_in_list_order():
    gaussians, viewmats, Ks = shell_scene(2, 32, 32)
    gaussians.means[:] = 0
    gaussians.opacities[:] = 0.9
    gaussians.colors[:] = torch.tensor([[1.0, 0, 0], [0, 1.0, 0]])
    image = NumbaRasterizer()(gaussians, viewmats, Ks, 32, 32).image[0, 15, 15]
    assert image[0] > 3 * image[1]


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


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_float_types_are_drawn_in_float32_and_get_gradients_of_their_own(dtype):
    gaussians, viewmats, Ks = shell_scene(100, 32, 32, dtype=dtype)
    gaussians.means.requires_grad_()
    output = NumbaRasterizer()(gaussians, viewmats, Ks, 32, 32)
    output.image.sum().backward()
    assert output.image.dtype == torch.float32
    assert gaussians.means.grad.dtype == dtype and gaussians.means.grad.abs().sum() > 0


def test_bad_input_is_named():
    gaussians, viewmats, Ks = shell_scene(10, 32, 32)
    with pytest.raises(ValueError, match="viewmats"):
        NumbaRasterizer()(gaussians, viewmats[0], Ks, 32, 32)
    with pytest.raises(UserError, match="threads"):
        NumbaRasterizer(threads=0)
    with pytest.raises(UserError, match="CPU tensors, not meta"):
        NumbaRasterizer()(gaussians.to("meta"), viewmats.to("meta"), Ks.to("meta"), 32, 32)


def test_is_much_faster_than_the_reference(render_with_gradients):
    scene = shell_scene(5000, 128, 128)

    def fastest(rasterizer, repeats):
        times = []
        for _ in range(repeats + 1):  # the first call compiles or loads the kernels
            start = time.process_time()  # of this process alone: a busy machine makes both wait
            render_with_gradients(rasterizer, scene, 128, 128)
            times.append(time.process_time() - start)
        return min(times[1:])

    assert fastest(TorchRasterizer(), 2) > 5 * fastest(NumbaRasterizer(), 10)


def test_absolute_gradients_want_another_rasterizer():
    gaussians, viewmats, Ks = shell_scene(9, 20, 20)
    for rasterizer in (NumbaRasterizer(), AutoRasterizer()):
        with pytest.raises(UserError, match="rasterizer=gsplat .*rasterizer=torch"):
            rasterizer(gaussians, viewmats, Ks, 20, 20, absgrad=True)
