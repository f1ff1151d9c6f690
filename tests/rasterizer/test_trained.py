"""The rasteriser that draws a finished avatar."""

from __future__ import annotations

import logging

import pytest
import torch

from talksplat.config import compose
from talksplat.rasterizer.auto import AutoRasterizer
from talksplat.rasterizer.torch_rasterizer import TorchRasterizer
from talksplat.rasterizer.trained import trained_rasterizer

CPU = torch.device("cpu")


def test_it_is_the_one_of_training_in_its_precision() -> None:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        settings = compose("train", ["rasterizer=torch", "rasterizer.near_plane=0.5"]).rasterizer
        rasterizer = trained_rasterizer(settings, CPU)
        assert isinstance(rasterizer, TorchRasterizer) and rasterizer.near_plane == 0.5
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)


def test_without_cuda_another_one_with_gsplats_settings_stands_in(caplog: pytest.LogCaptureFixture) -> None:
    settings = compose("train", ["rasterizer=gsplat", "rasterizer.near_plane=0.5", "rasterizer.eps2d=0.2"]).rasterizer
    with caplog.at_level(logging.WARNING):
        rasterizer = trained_rasterizer(settings, CPU)
    assert isinstance(rasterizer, AutoRasterizer) and (rasterizer.cpu.near_plane, rasterizer.cpu.eps2d) == (0.5, 0.2)
    assert "trained with gsplat, which needs CUDA" in caplog.text
