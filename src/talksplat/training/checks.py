"""Checks of a configuration before any data is read or any model is built."""

from __future__ import annotations

from omegaconf import DictConfig

from talksplat.config import instantiate
from talksplat.data.splits import check_split
from talksplat.errors import UserError
from talksplat.losses.base import Loss
from talksplat.metrics.open import build_metrics, nodes_of_run


def build_losses(config: DictConfig) -> dict[str, Loss]:
    """Build the loss terms that are switched on.

    Raises:
        UserError: none is, or one lacks its weights.
    """
    losses = {name: instantiate(node) for name, node in config.loss.items() if node is not None}
    if not losses:
        raise UserError("no loss is switched on: choose a loss group, e.g. loss=default")
    for loss in losses.values():
        loss.check_available()
    return losses


def check_before_training(config: DictConfig) -> None:
    """Check a configuration against this machine, quickly: device, precision, splits, stages, losses and their weights, metrics.

    Raises:
        UserError: what is wrong or missing.
    """
    settings = instantiate(config.trainer)
    settings.autocast(settings.device())
    settings.num_devices()
    check_split(config.dataset.split, config.dataset.val_share, config.dataset.val_gap)
    instantiate(config.stage)
    build_losses(config)
    build_metrics(nodes_of_run(config))
