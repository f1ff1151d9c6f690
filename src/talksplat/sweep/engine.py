"""What a grid and a search have in common: a folder, a launcher, and jobs for it."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from omegaconf import DictConfig

from talksplat.config import compose
from talksplat.errors import UserError
from talksplat.sweep.expand import equal_jobs
from talksplat.sweep.folder import Job, SweepFolder, SweepSpec
from talksplat.sweep.hydra_launcher import HydraLauncher
from talksplat.sweep.monitor import Monitor
from talksplat.sweep.processes import ProcessLauncher
from talksplat.sweep.state import ENDED, RUNNING
from talksplat.training.checks import check_before_training

logger = logging.getLogger(__name__)


@dataclass
class Sweep:
    """A sweep, and what runs its jobs."""

    folder: SweepFolder
    spec: SweepSpec  # of a resumed sweep as it was
    launcher: ProcessLauncher | HydraLauncher
    trust: Sequence[str] | None = None  # of a resumed sweep: packages besides our own that its files may name

    def launch(self, jobs: Sequence[Job], gpus_wanted: int | None) -> None:
        """Run those of the jobs that have not ended."""
        # What runs elsewhere by now, handed over by a command that was ended, is not handed over again.
        skipped = ENDED if self.launcher.runs_here else (*ENDED, RUNNING)
        pending = [job.name for job in jobs if self.folder.state(job.name).state not in skipped]
        self.folder.write_status(self.spec.jobs)
        if pending:
            with Monitor(self.folder, self.spec.jobs, len(self.launcher.slots(gpus_wanted))):
                self.launcher.run(self.folder, pending, self.spec.cwd, gpus_wanted)


def compose_jobs(
    overrides: Sequence[list[str]], runs_here: bool = True, trust: Sequence[str] | None = None
) -> list[DictConfig]:
    """Checked configuration of each job, before the first one starts; where they run here, also against this machine.
    Raises UserError: names the job."""
    configs = []
    for number, job in enumerate(overrides):
        try:
            config = compose("train", job, trust)
            if runs_here:
                check_before_training(config)
        except UserError as error:
            raise UserError(f"job {number} ({' '.join(job)}): {error}" if len(overrides) > 1 else str(error)) from error
        configs.append(config)
    for numbers in equal_jobs(configs):
        logger.warning("jobs %s have the same settings: they differ in name alone", ", ".join(map(str, numbers)))
    return configs


def gpus_wanted(configs: Sequence[DictConfig], runs_here: bool = True) -> int | None:
    """GPUs that each job's trainer uses: the most that one wants; None: all that it sees; 0: none.

    Elsewhere `accelerator=auto` counts as none: a cluster without GPUs would never give one.
    """
    on_gpu = ("gpu", "auto") if runs_here else ("gpu",)
    trainers = [config.trainer for config in configs]
    wanted = [one.get("devices", 1) if one.get("accelerator") in on_gpu else 0 for one in trainers]
    return None if "auto" in wanted else max((int(count) for count in wanted), default=1)


def put_aside(folder: SweepFolder, names: Sequence[str], jobs: Sequence[Job]) -> None:
    """Let jobs that have ended run again; their folders move to `.replaced`. Raises UserError: no such job."""
    known = {job.name for job in jobs}
    for name in names:
        if name not in known:
            raise UserError(f"hydra.sweeper.rerun names {name!r}: the sweep has {', '.join(sorted(known))}")
        if folder.state(name).state == RUNNING:
            raise UserError(f"hydra.sweeper.rerun names {name}, which still runs: wait until it has ended")
        if folder.job_dir(name).exists():
            replaced = (folder.path / ".replaced" / f"{name}.{number}" for number in itertools.count())
            target = next(path for path in replaced if not path.exists())
            target.parent.mkdir(exist_ok=True)
            folder.job_dir(name).rename(target)
            logger.info("%s runs again; its earlier folder is %s", name, target)
