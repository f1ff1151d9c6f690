"""What a sweep and a search have in common: a folder, a launcher, and jobs to hand to it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from omegaconf import DictConfig

from talksplat.config import compose, instantiate
from talksplat.errors import UserError
from talksplat.sweep.expand import equal_jobs
from talksplat.sweep.folder import Job, Plan, SweepFolder
from talksplat.sweep.hydra_launcher import HydraLauncher
from talksplat.sweep.monitor import Monitor
from talksplat.sweep.processes import ProcessLauncher
from talksplat.sweep.state import ENDED, RUNNING
from talksplat.training.preflight import check_before_training

logger = logging.getLogger(__name__)
PLUGINS = "hydra_plugins."


@runtime_checkable
class Launcher(Protocol):
    """Runs jobs of a sweep until all have ended."""

    def run(self, folder: SweepFolder, jobs: Sequence[str], cwd: str, gpus_wanted: int | None) -> None: ...


@dataclass
class Sweep:
    """A sweep that was asked for.

    Args:
        folder: where it goes.
        settings: the command line's settings, without Hydra's own.
        launcher: runs the jobs.
        resume: go on with what is in the folder.
        plan: what to note in it; of a sweep that goes on, what was noted.
    """

    folder: SweepFolder
    settings: list[str]
    launcher: Launcher
    resume: bool
    plan: Plan

    def launch(self, jobs: Sequence[Job], gpus_wanted: int | None) -> None:
        """Run those of the jobs that have not ended."""
        # What runs elsewhere by now, handed over by a command that was ended, is not handed over again.
        skipped = ENDED if self.runs_here else (*ENDED, RUNNING)
        pending = [job.name for job in jobs if self.folder.state(job.name).state not in skipped]
        self.folder.write_status(self.plan.jobs)
        if not pending:
            return
        with Monitor(self.folder, self.plan.jobs, self.slots(gpus_wanted)):
            self.launcher.run(self.folder, pending, self.plan.cwd, gpus_wanted)

    @property
    def runs_here(self) -> bool:
        """Whether jobs run on this machine: then what they need must be here."""
        return isinstance(self.launcher, ProcessLauncher)

    def slots(self, gpus_wanted: int | None) -> int:
        """Jobs that run at the same time, as far as this side knows."""
        return len(self.launcher.slots(gpus_wanted)) if self.runs_here else 1


def build_launcher(node: DictConfig) -> Launcher:
    """The launcher of `hydra.launcher`."""
    if node["_target_"].startswith(PLUGINS):
        return HydraLauncher(node)
    if not node["_target_"].startswith("talksplat."):
        raise UserError(
            "hydra/launcher=basic runs all jobs in one process, where none has a log or an end of its own: leave it at "
            "processes, or choose submitit_local, submitit_slurm, ray or joblib"
        )
    return instantiate(node)


def compose_jobs(overrides: Sequence[list[str]], runs_here: bool = True) -> list[DictConfig]:
    """Checked configuration of each job; what is wrong with any of them is found here, before the first one starts.

    Args:
        overrides: of each job.
        runs_here: check also that this machine has what they need.

    Raises:
        UserError: names the job.
    """
    configs = []
    for number, job in enumerate(overrides):
        try:
            config = compose("train", job)
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
    """Make jobs that have ended run again; what they left is kept in `.replaced`.

    Raises:
        UserError: no such job.
    """
    known = {job.name for job in jobs}
    for name in names:
        if name not in known:
            raise UserError(f"hydra.sweeper.rerun names {name!r}: the sweep has {', '.join(sorted(known))}")
        if folder.state(name).state == RUNNING:
            raise UserError(f"hydra.sweeper.rerun names {name}, which still runs: wait until it has ended")
        target = _free(folder.path / ".replaced" / name)
        if folder.job_dir(name).exists():
            target.parent.mkdir(exist_ok=True)
            folder.job_dir(name).rename(target)
            logger.info("%s runs again; what it left is in %s", name, target)


def _free(path: Path) -> Path:
    taken = 0
    while path.with_name(f"{path.name}.{taken}").exists():
        taken += 1
    return path.with_name(f"{path.name}.{taken}")
