"""Evaluation of a finished run: `python -m talksplat.evaluate run=RUN`, of any of its checkpoints, on any of its frames or on
another subject folder. Results are added to those of the run, and `talksplat.compare` reads them like a run.
"""

from __future__ import annotations

import logging
import sys

from rich.console import Console

from talksplat.config import CONF_DIR, compose
from talksplat.entry_points import exits_cleanly
from talksplat.evaluation.again import evaluate
from talksplat.evaluation.speed import BATCHES
from talksplat.metrics.table import print_metrics


@exits_cleanly
def main(arguments: list[str] | None = None) -> None:
    """The command."""
    arguments = sys.argv[1:] if arguments is None else arguments
    console = Console(highlight=False)
    if {"-h", "--help"} & set(arguments):
        console.print(f"{__doc__}\n{(CONF_DIR / 'evaluate.yaml').read_text()}", markup=False)
        return
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    metrics, out = evaluate(compose("evaluate", arguments))
    print_metrics(metrics, out)
    if "speed" in metrics:
        speed = metrics["speed"]
        rates = ", ".join(f"{speed[f'batch_{size}']:.1f} frames/s at batch {size}" for size in BATCHES)
        console.print(f"model and rasteriser on {speed['device']}: {rates}", soft_wrap=True)


if __name__ == "__main__":
    main()
