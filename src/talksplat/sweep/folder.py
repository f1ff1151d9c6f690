"""Folder of a sweep: its specification, written once, the settings of its jobs, and their states."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from talksplat.config.from_files import check_classes, read_config
from talksplat.errors import UserError
from talksplat.files import write_json, write_text
from talksplat.locks import locked
from talksplat.sweep.state import FAILED, JobState, read_state

FORMAT = 1
STATUS_COLUMNS = ("job", "state", "attempts", "seconds", "started", "ended", "host", "gpu", "error", "log")


@dataclass(frozen=True)
class Job:
    """One run of a sweep."""

    name: str  # of its folder
    overrides: list[str]  # of its configuration
    trial: dict[str, Any] | None = None  # of a search: arguments of `pruning.Pruning`


@dataclass
class SweepSpec:
    """Specification of a sweep: the content of `sweep.json`."""

    command: str  # as typed
    overrides: list[str]  # settings of the command line that decide which jobs there are
    cwd: str  # of the command: relative paths count from there
    git: dict[str, Any]  # commit of the code
    created: str  # UTC
    hydra: list[str] = field(default_factory=list)  # Hydra's own settings of the command line: launcher, sweeper
    jobs: list[Job] = field(default_factory=list)  # in their order; a search adds to them


class SweepFolder:
    """Reads and writes a sweep's folder. Every file is replaced as a whole, so that a killed sweep leaves none torn."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().resolve()
        self.spec_file = self.path / "sweep.json"  # a folder without it holds no sweep

    def job_dir(self, job: str) -> Path:
        """Run folder of a job."""
        return self.path / job

    def log(self, job: str) -> Path:
        """Output of a job's process."""
        return self.job_dir(job) / "job.log"

    def config_file(self, job: str) -> Path:
        """Settings of a job, resolved."""
        return self.path / "configs" / f"{job}.yaml"

    def has_sweep(self) -> bool:
        """Whether a sweep was begun here."""
        return self.spec_file.is_file()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from working on this sweep; the system frees the lock of a killed one. Raises UserError:
        another process is at it, or the folder cannot be written."""
        with locked(self.path, "give another hydra.sweep.dir", inside=True):
            yield

    def add_jobs(self, spec: SweepSpec, jobs: Sequence[Job], configs: Sequence[str]) -> None:
        """Add jobs to a sweep, and write the settings of each (YAML), which nothing changes any more. Raises UserError:
        a folder of a job's name is there already."""
        taken = [self.job_dir(job.name) for job in jobs if self.job_dir(job.name).exists()]
        if taken:
            raise UserError(f"{taken[0]} is there already: give another hydra.sweep.dir")
        (self.path / "configs").mkdir(parents=True, exist_ok=True)
        for job, config in zip(jobs, configs, strict=True):
            write_text(self.config_file(job.name), config)
        spec.jobs.extend(jobs)
        self.write_spec(spec)

    def write_spec(self, spec: SweepSpec) -> None:
        """Replace `sweep.json`."""
        write_json(self.spec_file, {"format": FORMAT, **asdict(spec)})

    def read_spec(self) -> SweepSpec:
        """Specification of the sweep that was begun here. Raises UserError: damaged, or of another version."""
        try:
            content = json.loads(self.spec_file.read_text())
            if content.pop("format") != FORMAT:
                raise UserError(f"{self.spec_file} was written by another version of talksplat: begin a new sweep")
            spec = SweepSpec(**{**content, "jobs": [Job(**job) for job in content["jobs"]]})
            if any(job.name in ("", ".", "..") or Path(job.name).name != job.name for job in spec.jobs):
                raise ValueError("a job's name is none of a folder")
            return spec
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{self.spec_file} is damaged ({error}): begin a new sweep in another folder") from error

    def config(self, job: str) -> DictConfig:
        """Settings of a job. Raises UserError: the file is gone or damaged."""
        try:
            return read_config(self.config_file(job))
        except UserError as error:
            raise UserError(f"cannot read the settings of job {job}: {error}") from error

    def check_trusted(self, spec: SweepSpec, trust: Sequence[str]) -> None:
        """Check what jobs that are already there would run (`check_classes`). Raises UserError."""
        for job in spec.jobs:
            check_classes(self.config(job.name), self.config_file(job.name), trust)
            check_classes(job.trial, self.spec_file, trust)

    def state(self, job: str) -> JobState:
        """State of a job."""
        return read_state(self.job_dir(job))

    def write_status(self, jobs: Sequence[Job]) -> None:
        """Replace `status.csv`: a row per job."""
        stream = io.StringIO()
        writer = csv.DictWriter(stream, STATUS_COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        for job in jobs:
            state = self.state(job.name)
            seconds = "" if state.seconds is None else f"{state.seconds:.1f}"
            log = self.log(job.name).relative_to(self.path) if state.state == FAILED else ""
            writer.writerow({**asdict(state), "job": job.name, "seconds": seconds, "log": log})
        write_text(self.path / "status.csv", stream.getvalue())
