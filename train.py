"""Trains an avatar: `python train.py dataset=portrait dataset.root=data/clip stage=default`."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from talksplat.config import CONF_DIR, chosen_of, compose, finish_config
from talksplat.config.sweeps import equal_jobs, sweep_jobs
from talksplat.errors import UserError, exits_cleanly
from talksplat.metrics.table import print_metrics
from talksplat.training.run import train


@hydra.main(config_path=str(CONF_DIR), config_name="train", version_base="1.3")
def run_job(config: DictConfig) -> float | None:
    """One run; Hydra calls it once for each job of a sweep. Returns the held-out head PSNR for sweepers."""
    hydra_config = HydraConfig.get()
    run_dir = Path(config.run_dir or hydra_config.runtime.output_dir)
    try:
        metrics = train(finish_config("train", config, chosen_of(hydra_config)), run_dir)
    except UserError as error:
        logging.getLogger(__name__).error("error: %s", error)
        if hydra_config.mode.name == "MULTIRUN":
            raise
        sys.exit(2)
    if metrics is None:
        return None
    print_metrics(metrics, run_dir)
    return metrics["mean"]["psnr_head"]


@exits_cleanly
def main() -> None:
    """Check every job's configuration before Hydra makes a folder."""
    overrides = [argument for argument in sys.argv[1:] if "=" in argument and not argument.startswith("-")]
    flags = {argument for argument in sys.argv[1:] if argument.startswith("-")}
    if flags <= {"-m", "--multirun"}:
        sweeps = flags or any(override.startswith(("sweep=", "hydra.mode=MULTIRUN")) for override in overrides)
        settings = [override for override in overrides if not override.startswith("hydra.")]
        jobs = [compose("train", job) for job in (sweep_jobs(settings) if sweeps else [settings])]
        for numbers in equal_jobs(jobs):
            print(
                f"jobs {', '.join(map(str, numbers))} have the same settings: they differ in name alone",
                file=sys.stderr,
            )
    run_job()


if __name__ == "__main__":
    main()
