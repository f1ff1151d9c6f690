from __future__ import annotations

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from talksplat.config import CONF_DIR, instantiate
from talksplat.config.targets import check_targets
from talksplat.errors import UserError
from talksplat.losses import L1Loss, LipLoss, total_loss
from tests.losses.bundles import make_batch, make_output


def test_a_loss_counts_only_in_its_stages_and_steps():
    loss = L1Loss(1.0, start=5, end=10, stages=["fine"])
    assert [step for step in range(20) if loss.active("fine", step)] == [5, 6, 7, 8, 9]
    assert not loss.active("coarse", 7)
    assert L1Loss(1.0).active("coarse", 0) and L1Loss(1.0, start=3).active("fine", 10**6)
    assert not L1Loss(0.0).active("fine", 0)


def test_total_is_the_weighted_sum_of_active_terms():
    batch = make_batch()
    image = torch.rand(2, 32, 32, 3, requires_grad=True)
    output = make_output(image)
    losses = {"l1": L1Loss(0.5), "lip": LipLoss(3.0, stages=["fine"]), "late": L1Loss(7.0, start=100)}
    total, terms = total_loss(losses, output, batch, "fine", 0)
    assert set(terms) == {"l1", "lip"} and not any(term.requires_grad for term in terms.values())
    torch.testing.assert_close(total.detach(), 0.5 * terms["l1"] + 3.0 * terms["lip"])
    total.backward()
    assert image.grad.abs().sum() > 0
    assert set(total_loss(losses, output, batch, "coarse", 100)[1]) == {"l1", "late"}


def test_no_active_loss_is_said():
    with pytest.raises(UserError, match="no loss is active in stage 'coarse' at step 0"):
        total_loss(
            {"lip": LipLoss(1.0, stages=["fine"])}, make_output(torch.rand(2, 32, 32, 3)), make_batch(), "coarse", 0
        )


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"weight": -1}, "negative"),
        ({"weight": 1, "start": 5, "end": 5}, "start < end"),
        ({"weight": 1, "stages": "fine"}, r"\[fine\]"),
    ],
)
def test_bad_settings_are_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        L1Loss(**arguments)


@pytest.mark.parametrize(
    "choice, on",
    [
        ("default", {"l1", "dssim", "lip", "mask"}),
        ("perceptual", {"l1", "dssim", "lip", "mask", "perceptual"}),
        ("paper", {"l1", "dssim", "lip", "perceptual"}),
    ],
)
def test_every_loss_group_builds_and_each_term_changes_the_total(choice, on):
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        config = compose(overrides=[f"+loss={choice}", "+paths.assets=null"])
    OmegaConf.resolve(config)
    check_targets(config)
    losses = {name: instantiate(node) for name, node in config.loss.items() if node is not None}
    assert set(losses) == on
    losses.pop("perceptual", None)
    batch, output = make_batch(), make_output(torch.rand(2, 32, 32, 3))
    total, terms = total_loss(losses, output, batch, "fine", 0)
    for name in losses:
        assert terms[name] > 0
        without, _ = total_loss({k: v for k, v in losses.items() if k != name}, output, batch, "fine", 0)
        torch.testing.assert_close(total - without, losses[name].weight * terms[name])
    assert losses["lip"].active("coarse", 0) == (choice == "paper")
