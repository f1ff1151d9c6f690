"""A run's measurements as a table on the console."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


def print_metrics(metrics: dict[str, Any], run_dir: Path) -> None:
    """Print means over held-out and training frames; what could not be measured says why."""
    console = Console()
    table = Table(
        title=f"{metrics['subject']} {metrics['resolution'][0]}x{metrics['resolution'][1]}", title_justify="left"
    )
    table.add_column("metric")
    table.add_column("held-out", justify="right")
    table.add_column("training", justify="right")
    train = metrics["train"]["mean"]
    for name, value in metrics["mean"].items():
        table.add_row(name, _number(value), _number(train.get(name)))
    table.add_row("Gaussians", f"{metrics['num_gaussians']:,}", "")
    table.add_row("frames per second", _number(metrics["fps"]), "")
    console.print(table)
    for name, reason in metrics["reasons"].items():
        console.print(f"{name}: {reason}", highlight=False)
    console.print(f"all values: {run_dir / 'metrics.json'}", highlight=False)


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"
