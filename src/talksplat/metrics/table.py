"""A run's measurements as a table on the console."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from talksplat.errors import printable

SPLITS = {"test": "held-out", "train": "training", "val": "validation"}


def print_metrics(metrics: dict[str, Any], run_dir: Path) -> None:
    """Print means over the frames that were measured, and over training and validation frames where these were; what could
    not be measured says why."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    table = Table(
        title=printable(f"{metrics['subject']} {metrics['resolution'][0]}x{metrics['resolution'][1]}"),
        title_justify="left",
    )
    table.add_column("metric")
    table.add_column(SPLITS.get(metrics["split"], "all frames"), justify="right")
    rows = [(printable(name), _number(value)) for name, value in metrics["mean"].items()]
    rows += [("Gaussians", f"{metrics['num_gaussians']:,}"), ("frames per second", _number(metrics["fps"]))]
    for split in ("train", "val"):
        if split in metrics:
            mean = metrics[split]["mean"]
            table.add_column(SPLITS[split], justify="right")
            rows = [(*row, _number(mean[row[0]]) if row[0] in mean else "") for row in rows]
    for row in rows:
        table.add_row(*row)
    console.print(table)
    for name, reason in metrics["reasons"].items():
        console.print(f"{name}: {reason}")
    console.print(f"all values: {run_dir / 'metrics.json'}")


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"
