"""The shipped metrics, for tests."""

from __future__ import annotations

from pathlib import Path

import torch

from talksplat.metrics import MetricSuite
from talksplat.metrics.open import build_metrics, nodes_of_run, open_suite


def shipped(lpips_net: str | None) -> dict:
    """Nodes of `conf/metric/default.yaml`."""
    return nodes_of_run({"evaluation": {"lpips_net": lpips_net}})


def metric_definitions(lpips_net: str | None) -> dict[str, str]:
    """Text of each metric by name."""
    return {name: metric.definition for name, metric in build_metrics(shipped(lpips_net)).items()}


def shipped_suite(lpips_net: str | None, assets: Path | None, device: str | torch.device = "cpu") -> MetricSuite:
    """All of them, ready to measure."""
    return open_suite(shipped(lpips_net), assets, device)
