"""The process of one job: `python -m talksplat.sweep.job SWEEP JOB`, started by its supervisor."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path

from omegaconf import DictConfig

from talksplat.errors import Interrupted, Pruned, UserError
from talksplat.metrics.table import print_metrics
from talksplat.sweep.folder import Job, SweepFolder
from talksplat.sweep.state import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_PRUNED, JOB_LOCK, PARENT_VARIABLE, holding
from talksplat.training.console import log_to_console
from talksplat.training.run import train

LOOK_SECONDS = 1.0


def run_job(folder: SweepFolder, job: Job) -> int:
    """Train a job of a sweep, or go on with it.

    Returns:
        exit status of the process.
    """
    run_dir = folder.job_dir(job.name)
    with holding(run_dir, JOB_LOCK):
        if (run_dir / "metrics.json").exists():
            return 0  # an earlier process of this job was still ending
        config = folder.config(job.name)
        config.resume = (run_dir / "config.yaml").exists()
        try:
            print_metrics(train(config, run_dir, callbacks=_callbacks(job, config)), run_dir)
        except Pruned as pruned:
            print(pruned, flush=True)
            return EXIT_PRUNED
        except (Interrupted, KeyboardInterrupt) as interruption:
            print(str(interruption) or "interrupted", flush=True)
            return EXIT_INTERRUPTED
        except SystemExit as end:
            if not isinstance(end.__context__, KeyboardInterrupt):
                raise
            print("interrupted", flush=True)  # Lightning answers a second Ctrl-C so
            return EXIT_INTERRUPTED
        except UserError as error:
            print(f"error: {error}", flush=True)
            return EXIT_FAILED
        except Exception:
            traceback.print_exc()
            return EXIT_FAILED
    return 0


def _callbacks(job: Job, config: DictConfig) -> list:
    if job.trial is None:
        return []
    from talksplat.sweep.pruning import Pruning

    return [Pruning(**job.trial)]


def stop_without(supervisor: int) -> None:
    """Interrupt this process, as Ctrl-C would, once its supervisor is gone: nobody would note its end or its GPU's use."""

    def watch() -> None:
        while os.getppid() == supervisor:
            time.sleep(LOOK_SECONDS)
        print("the sweep is gone: stopping", flush=True)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=watch, daemon=True).start()


def main() -> None:
    """The command."""
    folder, name = SweepFolder(Path(sys.argv[1])), sys.argv[2]
    signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))  # cluster managers end jobs by it
    if PARENT_VARIABLE in os.environ:
        stop_without(int(os.environ.pop(PARENT_VARIABLE)))
    log_to_console()
    logging.captureWarnings(True)
    job = next(job for job in folder.read_plan().jobs if job.name == name)
    sys.argv = ["train.py", *job.overrides]  # what the run notes as its command: it makes the same run by itself
    sys.exit(run_job(folder, job))


if __name__ == "__main__":
    main()
