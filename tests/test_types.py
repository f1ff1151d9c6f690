"""What the losses compare with: hard masks as in the paper, soft ones without counting the old background twice."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from talksplat.losses import MaskLoss
from talksplat.losses.crop import cropped_target, head_crop
from talksplat.types import FrameBatch
from tests.losses.bundles import make_batch, make_output


def soft_batch(seed: int = 0) -> tuple[FrameBatch, torch.Tensor, torch.Tensor]:
    """A batch whose originals are F*alpha + BG*(1-alpha); with F and alpha."""
    generator = torch.Generator().manual_seed(seed)
    batch = make_batch(seed=seed)
    alpha_u8 = torch.randint(0, 256, batch.head_mask.shape, generator=generator, dtype=torch.uint8)
    alpha_u8[batch.head_mask], alpha_u8[:, 0] = 255, 0
    alpha = (alpha_u8.float() / 255)[..., None]
    head = torch.rand(*batch.head_mask.shape, 3, generator=generator)
    original = (alpha * head + (1 - alpha) * batch.background) * 255
    return replace(batch, original_u8=original.round().byte(), head_alpha_u8=alpha_u8), head, alpha


def test_a_full_alpha_is_the_hard_mask():
    batch = make_batch()
    soft = replace(batch, head_alpha_u8=batch.head_mask.byte() * 255)
    assert torch.equal(soft.target, batch.target)
    assert torch.equal(soft.head_alpha, batch.head_alpha) and torch.equal(soft.head_pixels, batch.head_mask)


def test_over_the_same_background_the_target_is_the_original():
    batch, _, alpha = soft_batch()
    assert (batch.target - batch.original).abs().max() <= 0.5 / 255 + 1e-6
    naive = batch.original * alpha + batch.background * (1 - alpha)
    assert (naive - batch.original).abs().mean() > 0.03, "the plain formula counts the background twice"


def test_the_target_is_what_a_head_layer_can_give():
    batch, _, alpha = soft_batch()
    generator = torch.Generator().manual_seed(1)
    other = torch.randint(0, 256, batch.background_u8.shape, generator=generator, dtype=torch.uint8)
    batch = replace(batch, background_u8=other)
    target = batch.target
    behind = (1 - alpha) * batch.background
    assert (target >= behind - 1e-6).all() and (target <= behind + alpha + 1e-6).all()
    clear = batch.head_alpha == 0
    assert torch.equal(target[clear], batch.background[clear])


@pytest.mark.parametrize("kind", ["l1", "bce"])
def test_mask_loss_wants_the_soft_alpha(kind):
    batch, _, alpha = soft_batch()
    loss = MaskLoss(1.0, kind=kind)
    image = torch.rand(2, 32, 32, 3)

    def at(value):
        return loss(make_output(image, 1 - value), batch)

    best = alpha[..., 0].clamp(1e-3, 1 - 1e-3)
    assert at(best) < at((best + 0.1).clamp(max=1)) and at(best) < at((best - 0.1).clamp(min=0))
    hard = replace(batch, head_alpha_u8=batch.head_mask.byte() * 255)
    value = torch.rand(2, 32, 32)
    torch.testing.assert_close(
        loss(make_output(image, value), hard), loss(make_output(image, value), replace(hard, head_alpha_u8=None))
    )


def test_crops_take_the_soft_mask_along():
    batch, _, _ = soft_batch()
    crop = head_crop(batch.head_pixels, 0)
    assert crop[0].start == 1, "soft pixels outside the hard mask belong to the crop"
    assert torch.equal(cropped_target(batch, crop), batch.target[:, crop[0], crop[1]])
    assert torch.equal(cropped_target(make_batch(), crop), make_batch().target[:, crop[0], crop[1]])
