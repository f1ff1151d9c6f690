"""The numbers of metrics.json under flat names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def flat_results(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Means of held-out frames as `test/NAME`, of training frames as `train/NAME`, of validation frames, where there are
    some, as `val/NAME`; size and speed."""
    flat = {"fps": metrics["fps"], "num_gaussians": metrics["num_gaussians"], "size_bytes": metrics["size_bytes"]}
    flat |= {f"parameters/{name}": count for name, count in metrics["parameters"].items()}
    for prefix, measured in _parts(metrics):
        flat |= {f"{prefix}/{name}": value for name, value in measured["mean"].items()}
    if "aligned" in metrics:
        flat["test/aligned_psnr_composite"] = metrics["aligned"]["psnr_composite"]
    return {name: value for name, value in flat.items() if value is not None}  # too few frames have no speed


def not_measured(metrics: Mapping[str, Any]) -> dict[str, str]:
    """`test/not_measured/NAME`: why it is missing."""
    return {f"{part}/not_measured/{name}": why for part, of in _parts(metrics) for name, why in of["reasons"].items()}


def _parts(metrics: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return [("test", metrics), *((name, metrics[name]) for name in ("train", "val") if name in metrics)]
