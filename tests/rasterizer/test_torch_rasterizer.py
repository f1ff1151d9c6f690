"""The reference itself: against a loop over single pixels, by finite differences, and against gsplat's projection."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch

from talksplat.rasterizer.projection import project_gaussians
from talksplat.rasterizer.synthetic import shell_scene
from talksplat.rasterizer.torch_rasterizer import TorchRasterizer, _rasterize_frame
from talksplat.types import Gaussians


def blend_pixel(x, y, order, means2d, conics, opacities, colors):
    """One pixel, one Gaussian after the other, as the CUDA kernel does it."""
    color, left = [0.0] * colors.shape[1], 1.0
    for n in order:
        dx, dy = means2d[n][0] - x, means2d[n][1] - y
        sigma = 0.5 * (conics[n][0] * dx * dx + conics[n][2] * dy * dy) + conics[n][1] * dx * dy
        alpha = min(0.999, opacities[n] * math.exp(-sigma))
        if sigma < 0 or alpha < 1 / 255:
            continue
        if left * (1 - alpha) <= 1e-4:
            break
        color = [value + alpha * left * channel for value, channel in zip(color, colors[n].tolist())]
        left *= 1 - alpha
    return color, left


def test_equals_a_loop_over_pixels():
    gaussians, viewmats, Ks = shell_scene(400, 18, 21, channels=2, dtype=torch.float64)
    gaussians.scales *= 2  # many layers, so that pixels stop early
    output = TorchRasterizer()(gaussians, viewmats, Ks, 18, 21)
    projection = project_gaussians(gaussians, viewmats, Ks, 18, 21, near_plane=0.2, eps2d=0.3)
    visible = (projection.radii[0] > 0).all(-1)
    order = [n for n in projection.depths[0].argsort().tolist() if visible[n]]
    data = [tensor[0].tolist() for tensor in (projection.means2d, projection.conics, gaussians.opacities)]
    for row, column in ((0, 0), (10, 9), (16, 16), (20, 17), (8, 4), (11, 8)):
        color, left = blend_pixel(column + 0.5, row + 0.5, order, *data, gaussians.colors[0])
        torch.testing.assert_close(output.image[0, row, column], torch.tensor(color, dtype=torch.float64))
        assert output.transmittance[0, row, column].item() == pytest.approx(left, abs=1e-12)
    assert output.transmittance.min() < 1e-3  # the stop was reached
    assert output.transmittance.max() > 0.9


def test_gradcheck_on_a_tiny_scene():
    gaussians, viewmats, Ks = shell_scene(3, 5, 4, dtype=torch.float64, seed=3)
    gaussians.scales *= 3
    backgrounds = torch.rand(1, 4, 5, 3, dtype=torch.float64)
    leaves = [gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities, gaussians.colors]
    leaves = [leaf.requires_grad_() for leaf in [*leaves, viewmats, backgrounds]]

    def render(*values):
        output = TorchRasterizer()(Gaussians(*values[:5]), values[5], Ks, 5, 4, values[6])
        return output.image, output.transmittance

    # Finite differences may not cross the 1/255 threshold: a small step keeps every pixel on its side.
    assert torch.autograd.gradcheck(render, leaves, eps=1e-7, atol=1e-5)


def test_absolute_gradients_are_those_of_finite_differences_at_each_pixel():
    gaussians, viewmats, Ks = shell_scene(6, 18, 21, frames=2, dtype=torch.float64)
    gaussians.scales *= 3
    v_image = torch.randn(2, 21, 18, 3, dtype=torch.float64)
    gaussians.means.requires_grad_()
    output = TorchRasterizer()(gaussians, viewmats, Ks, 18, 21, absgrad=True)
    output.means2d.retain_grad()
    (output.image * v_image).sum().backward()

    def image(frame: int, n: int, axis: int, shift: float) -> torch.Tensor:
        projection = project_gaussians(gaussians, viewmats, Ks, 18, 21, near_plane=0.2, eps2d=0.3)
        projection.means2d = projection.means2d.detach().clone()
        projection.means2d[frame, n, axis] += shift
        return _rasterize_frame(projection, frame, gaussians.opacities[frame], gaussians.colors[frame], 18, 21)[0]

    expected, usual, step = torch.zeros(2, 6, 2).double(), torch.zeros(2, 6, 2).double(), 1e-6
    for frame, n, axis in torch.cartesian_prod(torch.arange(2), torch.arange(6), torch.arange(2)).tolist():
        slope = (image(frame, n, axis, step) - image(frame, n, axis, -step)) / (2 * step)
        of_pixels = (slope * v_image[frame]).sum(-1)
        expected[frame, n, axis], usual[frame, n, axis] = of_pixels.abs().sum(), of_pixels.sum()
    torch.testing.assert_close(output.means2d.grad, usual, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(output.means2d.absgrad, expected, rtol=1e-5, atol=1e-7)
    assert (expected > 1.5 * usual.abs()).any(), "something cancels, or both would be one"


def test_absolute_gradients_change_nothing_else(render_with_gradients):
    scene = shell_scene(200, 32, 32, frames=2)
    plain, gradients = render_with_gradients(TorchRasterizer(), scene, 32, 32)
    output, with_absgrad = render_with_gradients(partial(TorchRasterizer(), absgrad=True), scene, 32, 32)
    assert torch.equal(plain.image, output.image) and not hasattr(plain.means2d, "absgrad")
    assert all(torch.equal(value, with_absgrad[name]) for name, value in gradients.items())


def test_projection_equals_gsplat_reference():
    reference = pytest.importorskip("gsplat.cuda._torch_impl")
    gaussians, viewmats, Ks = shell_scene(500, 64, 48, frames=2, dtype=torch.float64)
    gaussians.means *= 4  # some beyond the border, where the slopes are clamped
    gaussians.opacities.fill_(1.0)  # gsplat's reference has no opacity-aware radius; at 1 both are 3.33 sigma
    leaves = [tensor.requires_grad_() for tensor in (gaussians.means, gaussians.quats, gaussians.scales, viewmats)]
    ours = project_gaussians(gaussians, viewmats, Ks, 64, 48, near_plane=0.2, eps2d=0.3)
    covariances, _ = reference._quat_scale_to_covar_preci(gaussians.quats, gaussians.scales, compute_preci=False)
    radii, means2d, depths, conics, _ = reference._fully_fused_projection(
        gaussians.means, covariances, viewmats[:, None], Ks[:, None], 64, 48, eps2d=0.3, near_plane=0.2
    )
    radii, means2d, depths, conics = (tensor[:, 0] for tensor in (radii, means2d, depths, conics))
    visible = (ours.radii > 0).all(-1)
    assert 0 < visible.sum() < visible.numel()
    difference = (ours.radii - radii)[visible].abs()
    assert difference.max() <= 1 and difference.float().mean() < 0.01  # 3.33 or sqrt(2 ln 255) sigma before the ceil
    torch.testing.assert_close(ours.means2d[visible], means2d[visible])
    torch.testing.assert_close(ours.conics[visible], conics[visible])
    torch.testing.assert_close(ours.depths[visible], depths[visible])
    weights = torch.randn_like(conics)[visible]
    for ours_loss, reference_loss in (
        ((ours.conics[visible] * weights).sum(), (conics[visible] * weights).sum()),
        ((ours.means2d[visible] * weights[:, :2]).sum(), (means2d[visible] * weights[:, :2]).sum()),
    ):
        gradients = (
            torch.autograd.grad(loss, leaves, retain_graph=True, allow_unused=True, materialize_grads=True)
            for loss in (ours_loss, reference_loss)
        )
        for value, expected in zip(*gradients):
            torch.testing.assert_close(value, expected, rtol=1e-6, atol=1e-8)


def test_stays_float32_under_autocast():
    gaussians, viewmats, Ks = shell_scene(200, 32, 32)
    plain = TorchRasterizer()(gaussians, viewmats, Ks, 32, 32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        lowered = TorchRasterizer()(gaussians, viewmats, Ks, 32, 32)
    assert torch.equal(plain.image, lowered.image)
