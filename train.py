"""Trains an avatar: `python train.py dataset=portrait dataset.root=data/clip stage=default`."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from talksplat.config import CONF_DIR, compose, finish_config, hydra_choices
from talksplat.config.overrides import literal_overrides
from talksplat.entry_points import exits_cleanly, one_line_errors
from talksplat.errors import UserError
from talksplat.sweep.command import is_sweep, run_sweep


@hydra.main(config_path=str(CONF_DIR), config_name="train", version_base="1.3")
def run_one(config: DictConfig) -> None:
    """One run."""
    hydra_config = HydraConfig.get()
    os.chdir(hydra_config.runtime.cwd)  # paths count from where the command was given, also with hydra.job.chdir=true
    run_dir = Path(config.run_dir or hydra_config.runtime.output_dir)
    try:
        with one_line_errors():
            # A sweep trains in other processes, and need not wait for these imports.
            from talksplat.metrics.table import print_metrics
            from talksplat.training.run import train

            metrics = train(finish_config("train", config, hydra_choices(hydra_config), run_dir), run_dir)
            if metrics is not None:
                print_metrics(metrics, run_dir)
    except UserError as error:
        logging.getLogger(__name__).error("error: %s", error)
        sys.exit(2)


@exits_cleanly
def main() -> None:
    """One run, or a sweep; the configuration is checked before Hydra makes a folder."""
    arguments = sys.argv[1:]
    if is_sweep(arguments):
        sys.exit(0 if run_sweep(arguments) else 1)
    overrides = literal_overrides("train", arguments)
    if not any(argument.startswith("-") for argument in arguments):
        compose("train", overrides)
    sys.argv[1:] = overrides
    run_one()


if __name__ == "__main__":
    main()
