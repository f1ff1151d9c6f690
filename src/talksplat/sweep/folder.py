"""The folder of a sweep: what was asked for, written once, and how far each job is."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from omegaconf import DictConfig, OmegaConf

from talksplat.config.moved import follow_moves
from talksplat.errors import UserError
from talksplat.files import write_json, write_text
from talksplat.sweep.state import FAILED, JobState, read_state

FORMAT = 1
STATUS_COLUMNS = ("job", "state", "attempts", "seconds", "started", "ended", "host", "gpu", "error", "log")


@dataclass(frozen=True)
class Job:
    """One run of a sweep.

    Args:
        name: of its folder.
        overrides: what it was told.
        trial: of a search: where a run reports how good it is so far (`search.TrialAddress`).
    """

    name: str
    overrides: list[str]
    trial: dict[str, Any] | None = None


@dataclass
class Plan:
    """What a sweep was asked for.

    Args:
        command: as typed.
        overrides: settings of the command line that decide which jobs there are.
        hydra: Hydra's own settings of the command line: launcher, sweeper.
        jobs: in their order; a search adds to them as it goes.
        cwd: where the command was given: relative paths count from there.
        git: commit of the code.
        created: UTC.
    """

    command: str
    overrides: list[str]
    cwd: str
    git: dict[str, Any]
    created: str
    hydra: list[str] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)


class SweepFolder:
    """Reads and writes a sweep's folder. Every file is replaced as a whole, so that a killed sweep leaves none torn.

    Args:
        path: the folder; made by `create`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()

    @property
    def plan_file(self) -> Path:
        """Written last by `create`: a folder without it holds no sweep."""
        return self.path / "sweep.json"

    def job_dir(self, job: str) -> Path:
        """Run folder of a job."""
        return self.path / job

    def log(self, job: str) -> Path:
        """Everything a job printed."""
        return self.job_dir(job) / "job.log"

    def config_file(self, job: str) -> Path:
        """Settings of a job, resolved."""
        return self.path / "configs" / f"{job}.yaml"

    def has_plan(self) -> bool:
        """Whether a sweep was begun here."""
        return self.plan_file.is_file()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from working on this sweep; the system frees the lock of a killed one.

        Raises:
            UserError: another process is at it, or the folder cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / ".lock")
            lock.acquire(timeout=0)
        except Timeout as error:
            raise UserError(
                f"another process is working on the sweep in {self.path}: wait until it has ended, or give another "
                "hydra.sweep.dir"
            ) from error
        except OSError as error:
            raise UserError(
                f"cannot write into {self.path} ({error.strerror}): give another hydra.sweep.dir"
            ) from error
        try:
            yield
        finally:
            lock.release()

    def create(self, plan: Plan, configs: Sequence[str]) -> None:
        """Write the plan with the settings of each job (YAML), which nothing changes any more.

        Raises:
            UserError: a folder of a job's name is there already.
        """
        taken = [job.name for job in plan.jobs if self.job_dir(job.name).exists()]
        if taken:
            raise UserError(f"{self.job_dir(taken[0])} is there already: give another hydra.sweep.dir")
        for job, config in zip(plan.jobs, configs, strict=True):
            self._write_config(job.name, config)
        self.write_plan(plan)

    def add_job(self, plan: Plan, job: Job, config: str) -> None:
        """Add a job to a plan that grows."""
        self._write_config(job.name, config)
        plan.jobs.append(job)
        self.write_plan(plan)

    def write_plan(self, plan: Plan) -> None:
        """Replace `sweep.json`."""
        write_json(self.plan_file, {"format": FORMAT, **asdict(plan)})

    def read_plan(self) -> Plan:
        """The plan of a sweep that was begun here.

        Raises:
            UserError: damaged, or of another version.
        """
        try:
            content = json.loads(self.plan_file.read_text())
            if content.pop("format") != FORMAT:
                raise UserError(f"{self.plan_file} was written by another version of talksplat: begin a new sweep")
            return Plan(**{**content, "jobs": [Job(**job) for job in content["jobs"]]})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{self.plan_file} is damaged ({error}): begin a new sweep in another folder") from error

    def config(self, job: str) -> DictConfig:
        """Settings of a job.

        Raises:
            UserError: the file is gone or damaged.
        """
        try:
            config = OmegaConf.create(self.config_file(job).read_text())
            return OmegaConf.create(follow_moves(OmegaConf.to_container(config, resolve=False)))
        except (OSError, ValueError) as error:
            raise UserError(f"cannot read the settings of job {job}: {self.config_file(job)} ({error})") from error

    def state(self, job: str) -> JobState:
        """How far a job is."""
        return read_state(self.job_dir(job))

    def write_status(self, jobs: Sequence[Job]) -> None:
        """Replace `status.csv`: a row for each job."""
        stream = io.StringIO()
        writer = csv.DictWriter(stream, STATUS_COLUMNS, lineterminator="\n")
        writer.writeheader()
        for job in jobs:
            state = self.state(job.name)
            row = {"job": job.name, **{key: value for key, value in asdict(state).items() if key in STATUS_COLUMNS}}
            seconds = "" if state.seconds is None else f"{state.seconds:.1f}"
            log = self.log(job.name).relative_to(self.path) if state.state == FAILED else ""
            writer.writerow({**row, "seconds": seconds, "log": log})
        write_text(self.path / "status.csv", stream.getvalue())

    def _write_config(self, job: str, config: str) -> None:
        self.config_file(job).parent.mkdir(parents=True, exist_ok=True)
        write_text(self.config_file(job), config)
