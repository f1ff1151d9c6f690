from __future__ import annotations

import math

import pytest
import torch

from talksplat.errors import UserError
from talksplat.losses import L1Loss, LipLoss, MaskLoss
from talksplat.losses.pixel import box_mask
from tests.losses.bundles import make_batch, make_output


def test_l1_is_zero_for_the_target_and_its_distance_otherwise():
    batch = make_batch()
    assert L1Loss(1.0)(make_output(batch.target), batch) == 0
    torch.testing.assert_close(L1Loss(1.0)(make_output(batch.target + 0.25), batch), torch.tensor(0.25))


def test_lip_loss_is_the_mean_over_all_boxes_pixels():
    batch = make_batch()
    image = torch.rand(2, 32, 32, 3)
    pixels = []
    for frame, (x0, y0, x1, y1) in enumerate(batch.lip_boxes.tolist()):
        difference = (image[frame, y0:y1, x0:x1] - batch.target[frame, y0:y1, x0:x1]).abs()
        pixels.append(difference.reshape(-1, 3))
    assert len(pixels[0]) == 24 and len(pixels[1]) == 100
    torch.testing.assert_close(LipLoss(1.0)(make_output(image), batch), torch.cat(pixels).mean())


def test_lip_loss_without_boxes_is_zero_with_a_gradient():
    batch = make_batch()
    batch.lip_boxes = torch.zeros_like(batch.lip_boxes)
    image = torch.rand(2, 32, 32, 3, requires_grad=True)
    loss = LipLoss(1.0)(make_output(image), batch)
    loss.backward()
    assert loss == 0 and not image.grad.any()


def test_a_lip_box_beyond_the_image_is_cut_and_an_empty_one_does_not_count():
    batch = make_batch()
    batch.lip_boxes = torch.tensor([[28, -4, 40, 3], [5, 5, 5, 9]])
    image = torch.rand(2, 32, 32, 3, requires_grad=True)
    loss = LipLoss(1.0)(make_output(image), batch)
    torch.testing.assert_close(loss, (image - batch.target)[0, :3, 28:].abs().mean())
    loss.backward()
    assert image.grad[0, :3, 28:].all() and image.grad.count_nonzero() == 3 * 4 * 3


def test_box_mask_clips_to_the_image():
    mask = box_mask(torch.tensor([[-3, 2, 2, 99]]), 4, 5)
    assert mask[0].nonzero().tolist() == [[2, 0], [2, 1], [3, 0], [3, 1]]


@pytest.mark.parametrize("kind, at_half", [("l1", 0.5), ("bce", math.log(2))])
def test_mask_loss_pushes_opacity_into_the_head_and_out_of_the_rest(kind, at_half):
    batch = make_batch()
    transmittance = torch.full((2, 32, 32), 0.5, requires_grad=True)
    loss = MaskLoss(1.0, kind=kind)(make_output(torch.rand(2, 32, 32, 3), transmittance), batch)
    loss.backward()
    assert (transmittance.grad[batch.head_mask] > 0).all(), "inside, less transmittance must lower the loss"
    assert (transmittance.grad[~batch.head_mask] < 0).all()
    perfect = (~batch.head_mask).float()
    assert MaskLoss(1.0, kind=kind)(make_output(torch.rand(2, 32, 32, 3), perfect), batch) == 0
    assert loss.item() == pytest.approx(at_half)


def test_mask_loss_refuses_other_kinds():
    with pytest.raises(UserError, match="'l1' or 'bce'"):
        MaskLoss(1.0, kind="l2")
