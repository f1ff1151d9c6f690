"""Process of one job: `python -m talksplat.sweep.job SWEEP JOB`, started by its supervisor."""

from __future__ import annotations

import logging
import os
import signal
import sys
import traceback
from pathlib import Path

from talksplat.entry_points import one_line_errors
from talksplat.errors import Interrupted, Pruned, UserError
from talksplat.metrics.table import print_metrics
from talksplat.parallel.launcher import on_parent_exit
from talksplat.sweep.folder import Job, SweepFolder
from talksplat.sweep.state import DONE, EXIT_CODES, FAILED, INTERRUPTED, JOB_LOCK, PRUNED, holding
from talksplat.sweep.supervise import PARENT_VARIABLE
from talksplat.training.console import log_to_console
from talksplat.training.run import train


def run_job(folder: SweepFolder, job: Job) -> str:
    """Train a job of a sweep, or resume it; returns the state that it came to."""
    run_dir = folder.job_dir(job.name)
    with holding(run_dir, JOB_LOCK):
        if (run_dir / "metrics.json").exists():
            return DONE  # an earlier process of this job was still ending
        callbacks = []
        if job.trial is not None:
            from talksplat.sweep.pruning import Pruning

            study = str(folder.path / "study.journal")  # wherever the sweep lies by now
            callbacks.append(Pruning(**{**job.trial, "study": study}))
        config = folder.config(job.name)
        config.resume = (run_dir / "config.yaml").exists()
        try:
            with one_line_errors():
                print_metrics(train(config, run_dir, callbacks), run_dir)
            return DONE
        except Pruned as pruned:
            print(pruned, flush=True)
            return PRUNED
        except (Interrupted, KeyboardInterrupt) as interruption:
            print(str(interruption) or "interrupted", flush=True)
            return INTERRUPTED
        except SystemExit as end:
            if not isinstance(end.__context__, KeyboardInterrupt):
                raise
            print("interrupted", flush=True)  # Lightning answers a second Ctrl-C so
            return INTERRUPTED
        except UserError as error:
            print(f"error: {error}", flush=True)
            return FAILED
        except Exception:
            traceback.print_exc()
            return FAILED


def stop() -> None:
    """Interrupt this process, as Ctrl-C would."""
    os.kill(os.getpid(), signal.SIGINT)


def stop_without_supervisor() -> None:
    """Nobody would note this job's end or its GPU's use."""
    print("the sweep is gone: stopping", flush=True)
    stop()


def main() -> None:
    """The command."""
    folder, name = SweepFolder(Path(sys.argv[1])), sys.argv[2]
    signal.signal(signal.SIGTERM, lambda *_: stop())  # cluster managers end jobs by it
    if PARENT_VARIABLE in os.environ:
        on_parent_exit(int(os.environ.pop(PARENT_VARIABLE)), stop_without_supervisor)
    log_to_console()
    logging.captureWarnings(True)
    job = next(job for job in folder.read_spec().jobs if job.name == name)
    sys.argv = ["train.py", *job.overrides]  # what the run notes as its command: it makes the same run by itself
    sys.exit(EXIT_CODES[run_job(folder, job)])


if __name__ == "__main__":
    main()
