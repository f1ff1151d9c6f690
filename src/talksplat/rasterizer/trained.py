"""Rasteriser of a run, for rendering its avatar."""

from __future__ import annotations

import logging

import torch
from omegaconf import DictConfig

from talksplat.config import instantiate
from talksplat.rasterizer.auto import AutoRasterizer
from talksplat.rasterizer.base import Rasterizer
from talksplat.rasterizer.gsplat_rasterizer import GsplatRasterizer

logger = logging.getLogger(__name__)


def trained_rasterizer(settings: DictConfig, device: torch.device) -> Rasterizer:
    """The rasteriser that an avatar was trained with, and the matrix precision of training.

    Args:
        settings: `rasterizer` of the run's configuration.
        device: of the rendering; gsplat needs CUDA, so elsewhere another rasteriser with its settings is used.
    """
    torch.set_float32_matmul_precision("high")  # as `TrainerSettings.apply`
    rasterizer = instantiate(settings)
    if isinstance(rasterizer, GsplatRasterizer) and device.type != "cuda":
        rasterizer = AutoRasterizer(near_plane=rasterizer.near_plane, eps2d=rasterizer.eps2d)
        logger.warning("trained with gsplat, which needs CUDA: rendering with %s here", type(rasterizer.cpu).__name__)
    return rasterizer
