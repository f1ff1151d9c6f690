from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from talksplat.metrics.image import psnr, ssim
from talksplat.metrics.regions import enlarge_boxes, mouth_mask


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(0)
    reference = torch.rand(2, 48, 40, 3, generator=generator)
    noise = torch.tensor([0.05, 0.3])[:, None, None, None]
    return (reference + noise * torch.randn(reference.shape, generator=generator)).clamp(0, 1), reference


def test_psnr_per_frame_equals_skimage(images):
    rendered, reference = images
    expected = [peak_signal_noise_ratio(b.numpy(), a.numpy(), data_range=1) for a, b in zip(rendered, reference)]
    np.testing.assert_allclose(psnr(rendered, reference), expected, rtol=1e-4)
    assert expected[0] > expected[1] + 5, "frames of uneven quality: a pooled error would show"


def test_psnr_of_identical_images_is_100():
    image = torch.rand(1, 8, 8, 3)
    assert psnr(image, image).item() == pytest.approx(100)


def test_masked_psnr_is_that_of_the_cut_out_region(images):
    rendered, reference = images
    mask = torch.zeros(2, 48, 40, dtype=torch.bool)
    mask[0, 10:20, 5:30] = True
    value = psnr(rendered, reference, mask)
    expected = peak_signal_noise_ratio(
        reference[0, 10:20, 5:30].numpy(), rendered[0, 10:20, 5:30].numpy(), data_range=1
    )
    assert value[0].item() == pytest.approx(expected, rel=1e-4)
    assert value[1].isnan()


def test_ssim_equals_skimage(images):
    def by_skimage(a, b):
        # skimage leaves out a border of half a window: mirrored margins make that the whole image.
        a, b = (np.pad(image.numpy(), ((5, 5), (5, 5), (0, 0)), "reflect") for image in (a, b))
        settings = {"data_range": 1, "channel_axis": 2, "gaussian_weights": True, "sigma": 1.5}
        return structural_similarity(a, b, use_sample_covariance=False, **settings)

    rendered, reference = images
    expected = [by_skimage(a, b) for a, b in zip(reference, rendered)]
    np.testing.assert_allclose(ssim(rendered, reference), expected, atol=1e-5)


def test_mouth_region_is_the_box_half_as_large_again_and_empty_stays_empty():
    boxes = torch.tensor([[10, 20, 30, 40], [0, 0, 0, 0], [50, 50, 60, 60]])
    assert enlarge_boxes(boxes, 1.5).tolist()[0] == [5, 15, 35, 45]
    mask = mouth_mask(boxes, 64, 56)
    assert mask[0].sum() == 30 * 30
    assert not mask[1].any()
    assert mask[2].nonzero().amin(0).tolist() == [48, 48] and mask[2].nonzero().amax(0).tolist() == [61, 55]
