"""A sweep over every combination of given values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from talksplat.config import to_yaml
from talksplat.data.open import ensure_sample
from talksplat.sweep.engine import Sweep, compose_jobs, gpus_wanted, put_aside
from talksplat.sweep.expand import grid_jobs, job_name
from talksplat.sweep.folder import Job


@dataclass
class Grid:
    """All jobs are known, composed and checked before the first one starts. Settings: `conf/hydra/sweeper/grid.yaml`."""

    params: Mapping[str, Any] | None = None
    rerun: Sequence[str] = ()

    def run(self, sweep: Sweep) -> None:
        """Run all jobs that have not ended."""
        folder, spec, runs_here = sweep.folder, sweep.spec, sweep.launcher.runs_here
        if folder.has_sweep():
            configs = [folder.config(job.name) for job in spec.jobs]
            put_aside(folder, self.rerun, spec.jobs)
        else:
            overrides = grid_jobs(spec.overrides, self.params)
            configs = compose_jobs(overrides, runs_here)
            jobs = [Job(job_name(*named), job) for named, job in zip(enumerate(configs), overrides)]
            folder.add_jobs(spec, jobs, [to_yaml(config) for config in configs])
        for config in configs:
            ensure_sample(config)  # once, before jobs that run at the same time would each make it
        sweep.launch(spec.jobs, gpus_wanted(configs, runs_here))

    def dry_run(self, settings: Sequence[str]) -> list[list[str]]:
        """Jobs that would run, each checked."""
        overrides = grid_jobs(settings, self.params)
        compose_jobs(overrides)
        return overrides
