from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from talksplat.losses import DSSIMLoss
from talksplat.losses.crop import head_crop
from talksplat.losses.dssim import MARGIN, ssim_map, ssim_sum
from talksplat.losses.ssim_constants import gaussian_window
from talksplat.losses.ssim_numba import ssim_sum_numba
from tests.losses.bundles import make_batch, make_output

TAPS = gaussian_window(torch.float64)


def plain_ssim(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Wang et al. 2004 written out with one 121-tap window; [B, H, W, C] -> [B, C, H, W]."""
    x, y = x.movedim(-1, 1), y.movedim(-1, 1)
    offsets = torch.arange(11, dtype=x.dtype) - 5
    taps = torch.exp(-(offsets**2) / (2 * 1.5**2))
    window = torch.outer(taps, taps) / taps.sum() ** 2

    def blur(image):
        channels = image.shape[1]
        return F.conv2d(image, window.expand(channels, 1, 11, 11), padding=5, groups=channels)

    mx, my = blur(x), blur(y)
    vx, vy, cov = blur(x * x) - mx * mx, blur(y * y) - my * my, blur(x * y) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    return (2 * mx * my + c1) * (2 * cov + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2))


def pair(batch: int, height: int, width: int, dtype=torch.float64):
    generator = torch.Generator().manual_seed(height * width)
    y = torch.rand(batch, height, width, 3, generator=generator, dtype=dtype)
    x = (y + 0.2 * torch.randn(y.shape, generator=generator, dtype=dtype)).clamp(0, 1)
    return x.requires_grad_(), y


@pytest.mark.parametrize("shape", [(1, 3, 5), (2, 11, 11), (2, 40, 37), (1, 97, 33)])
@pytest.mark.parametrize("implementation", [ssim_sum_numba, lambda x, y: ssim_map(x, y, TAPS).sum()])
def test_value_and_gradient_equal_the_definition(shape, implementation):
    x, y = pair(*shape)
    expected = plain_ssim(x, y).sum()
    (expected_gradient,) = torch.autograd.grad(expected, x)
    value = implementation(x, y)
    (gradient,) = torch.autograd.grad(value, x)
    torch.testing.assert_close(value, expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-8, atol=1e-10)


def test_gradient_by_finite_differences():
    x, y = pair(1, 6, 7)
    assert torch.autograd.gradcheck(lambda image: ssim_sum(image, y, TAPS), (x,), atol=1e-5)


def test_float32_is_close_to_float64():
    x, y = pair(1, 64, 64)
    single = x.detach().float().requires_grad_()
    value = ssim_sum(single, y.float(), TAPS)
    value.backward()
    ssim_sum(x, y, TAPS).backward()
    assert abs(value.item() / ssim_sum(x, y, TAPS).item() - 1) < 1e-5
    assert (single.grad - x.grad).abs().max() < 1e-4 * x.grad.abs().max()


def test_identical_images_have_no_loss_and_nan_is_not_hidden():
    batch = make_batch()
    loss = DSSIMLoss(1.0)
    assert abs(loss(make_output(batch.target), batch).item()) < 1e-6
    image = batch.target.clone()
    image[0, 3, 3, 0] = float("nan")
    assert loss(make_output(image), batch).isnan()


def test_loss_is_one_minus_mean_ssim():
    batch = make_batch()
    image = torch.rand(2, 32, 32, 3, requires_grad=True)
    loss = DSSIMLoss(1.0)(make_output(image), batch)
    torch.testing.assert_close(loss, 1 - plain_ssim(image, batch.target).mean(), rtol=1e-4, atol=1e-5)


def test_crop_changes_nothing_where_only_the_head_differs():
    batch = make_batch(size=128)
    image = batch.target.clone()
    image[batch.head_mask] = torch.rand(int(batch.head_mask.sum()), 3)
    results = []
    for crop in (False, True):
        leaf = image.clone().requires_grad_()
        loss = DSSIMLoss(1.0, crop=crop)(make_output(leaf), batch)
        loss.backward()
        results.append((loss.detach(), leaf.grad * batch.head_mask[..., None]))
    rows, columns = head_crop(batch.head_mask, MARGIN)
    assert (rows.start, rows.stop) == (columns.start, columns.stop) == (16, 112), "the crop is smaller than the frame"
    torch.testing.assert_close(results[0], results[1], rtol=1e-4, atol=1e-6)


def test_crop_without_a_head_is_the_full_frame():
    batch = make_batch()
    batch.head_mask = torch.zeros_like(batch.head_mask)
    output = make_output(torch.rand(2, 32, 32, 3))
    torch.testing.assert_close(DSSIMLoss(1.0, crop=True)(output, batch), DSSIMLoss(1.0)(output, batch))
