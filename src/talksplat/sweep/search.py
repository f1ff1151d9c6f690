"""A search by Optuna: each trial is a job, with settings that follow from the results of earlier trials."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from omegaconf import DictConfig
from optuna.distributions import BaseDistribution
from optuna.trial import TrialState

from talksplat.config import instantiate, to_yaml
from talksplat.data.open import ensure_sample
from talksplat.data.splits import PAPER
from talksplat.errors import UserError
from talksplat.files import write_text
from talksplat.sweep.engine import Sweep, compose_jobs, gpus_wanted, put_aside
from talksplat.sweep.expand import job_name, merged_overrides
from talksplat.sweep.folder import Job, SweepFolder
from talksplat.sweep.pruning import STUDY, open_storage
from talksplat.sweep.space import distribution, first_value
from talksplat.sweep.state import DONE, ENDED, FAILED, PRUNED

logger = logging.getLogger(__name__)
MAX_REFUSED = 20  # combinations of settings in a row that cannot be


@dataclass
class Search:
    """Asks Optuna for the settings of the next trials, runs them, and reports their results. Settings:
    `conf/hydra/sweeper/optuna.yaml`. Raises UserError: a value that is not possible."""

    sampler: dict[str, Any]
    pruner: dict[str, Any]
    params: Mapping[str, Any] | None = None
    rerun: Sequence[str] = ()
    n_trials: int = 20
    n_jobs: int | None = None
    metric: str = "psnr_head"
    direction: str = "maximize"

    def __post_init__(self) -> None:
        if self.direction not in ("maximize", "minimize"):
            raise UserError(f"hydra.sweeper.direction is maximize or minimize, not {self.direction!r}")
        if self.n_trials < 1 or (self.n_jobs is not None and self.n_jobs < 1):
            raise UserError(f"hydra.sweeper: n_trials={self.n_trials} and n_jobs={self.n_jobs} must be at least 1")
        optuna.logging.set_verbosity(optuna.logging.WARNING)

    def run(self, sweep: Sweep) -> None:
        """Run jobs until there are `n_trials`, and write `search.csv` and `search.png`."""
        folder, spec, launcher = sweep.folder, sweep.spec, sweep.launcher
        fixed, space = self._space(spec.overrides)
        first = _trial_config(fixed, {key: first_value(values) for key, values in space.items()}, sweep)
        gpus = gpus_wanted([first], launcher.runs_here)
        ensure_sample(first)
        if first.dataset.split == PAPER:
            logger.warning(
                "this search chooses on the test frames that are reported: dataset.split=three keeps validation frames for it"
            )
        if folder.has_sweep():
            put_aside(folder, self.rerun, spec.jobs)
        folder.write_spec(spec)
        study = self._open_study(folder)
        _renew_trials(study, sweep)
        jobs = spec.jobs
        while True:
            sweep.launch(jobs, gpus)
            self._tell(study, sweep)
            _report(study, folder)
            count = min(self.n_jobs or len(launcher.slots(gpus)), self.n_trials - len(spec.jobs))
            if count <= 0:
                break
            jobs = [self._ask(study, sweep, fixed, space) for _ in range(count)]
        self._log_best(study)

    def dry_run(self, settings: Sequence[str]) -> list[list[str]]:
        """The first values of the search's choices, checked."""
        fixed, space = self._space(settings)
        job = [*fixed, *(f"{key}={first_value(values)}" for key, values in space.items())]
        compose_jobs([job])
        return [job]

    def _space(self, settings: Sequence[str]) -> tuple[list[str], dict[str, BaseDistribution]]:
        overrides = merged_overrides(settings, self.params)
        fixed = [override.input_line for override in overrides.values() if not override.is_sweep_override()]
        space = {key: distribution(one) for key, one in overrides.items() if one.is_sweep_override()}
        if not space:
            raise UserError("nothing to search: give settings as choice(a,b), range(1,9) or interval(1e-4,1e-2)")
        return fixed, space

    def _open_study(self, folder: SweepFolder) -> optuna.Study:
        sampler = dict(self.sampler)
        storage = open_storage(folder.path / "study.journal")
        study = optuna.create_study(
            study_name=STUDY,
            storage=storage,
            direction=self.direction,
            load_if_exists=True,
            pruner=instantiate(self.pruner),
        )
        if sampler.get("seed") is not None:
            sampler["seed"] += len(study.trials)  # a resumed search must not draw its first values again
        study.sampler = instantiate(sampler)
        return study

    def _ask(self, study: optuna.Study, sweep: Sweep, fixed: list[str], space: dict[str, BaseDistribution]) -> Job:
        for _ in range(MAX_REFUSED):
            trial = study.ask(space)
            try:
                config = _trial_config(fixed, trial.params, sweep)
                break
            except UserError as error:
                logger.warning("trial %d is not possible: %s", trial.number, error)
                study.tell(trial, state=TrialState.FAIL)
        else:
            raise UserError(f"{MAX_REFUSED} combinations in a row are not possible: narrow what is searched")
        overrides = [*fixed, *(f"{key}={value}" for key, value in trial.params.items())]
        path = str(sweep.folder.path / "study.journal")
        pruning = {"study": path, "trial_id": trial._trial_id, "pruner": self.pruner}
        job = Job(job_name(len(sweep.spec.jobs), config), overrides, pruning)
        sweep.folder.add_jobs(sweep.spec, [job], [to_yaml(config)])
        return job

    def _tell(self, study: optuna.Study, sweep: Sweep) -> None:
        """Report to the study the results of jobs that have ended since."""
        numbers = {trial._trial_id: trial.number for trial in study.get_trials(states=(TrialState.RUNNING,))}
        for job in sweep.spec.jobs:
            trial_id, state = (job.trial or {}).get("trial_id"), sweep.folder.state(job.name).state
            if trial_id in numbers and state in (*ENDED, FAILED):
                value = self._value(sweep.folder, job.name) if state == DONE else None
                failed = TrialState.PRUNED if state == PRUNED else TrialState.FAIL
                study.tell(numbers[trial_id], value, state=failed if value is None else None)

    def _value(self, folder: SweepFolder, job: str) -> float | None:
        metrics = json.loads((folder.job_dir(job) / "metrics.json").read_text())
        metrics = metrics.get("val", metrics)
        if self.metric not in metrics["mean"]:
            raise UserError(f"hydra.sweeper.metric={self.metric}: metrics.json has {', '.join(metrics['mean'])}")
        value = metrics["mean"][self.metric]
        if value is None:
            logger.warning("%s has no %s: %s", job, self.metric, metrics["reasons"].get(self.metric))
        return value

    def _log_best(self, study: optuna.Study) -> None:
        if not study.get_trials(states=(TrialState.COMPLETE,)):
            logger.warning("no trial of the search came to its end")
            return
        settings = " ".join(f"{key}={value}" for key, value in study.best_params.items())
        logger.info("best of %d trials: %s %.4f with %s", len(study.trials), self.metric, study.best_value, settings)


def _trial_config(fixed: list[str], values: Mapping[str, Any], sweep: Sweep) -> DictConfig:
    job = [*fixed, *(f"{key}={value}" for key, value in values.items())]
    return compose_jobs([job], sweep.launcher.runs_here, sweep.trust)[0]


def _renew_trials(study: optuna.Study, sweep: Sweep) -> None:
    """New trials with the same values for jobs that run again: Optuna takes no second result of one that has ended."""
    trials = {trial._trial_id: trial for trial in study.get_trials(deepcopy=False)}
    for job in sweep.spec.jobs:
        trial = trials.get((job.trial or {}).get("trial_id"))
        if trial and trial.state.is_finished() and sweep.folder.state(job.name).state not in ENDED:
            study.enqueue_trial(trial.params)
            job.trial["trial_id"] = study.ask(trial.distributions)._trial_id
    sweep.folder.write_spec(sweep.spec)


def _report(study: optuna.Study, folder: SweepFolder) -> None:
    write_text(folder.path / "search.csv", study.trials_dataframe().to_csv(index=False))
    if len(study.get_trials(states=(TrialState.COMPLETE,))) < 2:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna's plots by matplotlib are marked experimental
        axes = optuna.visualization.matplotlib.plot_optimization_history(study)
    axes.figure.savefig(folder.path / "search.png", dpi=120, bbox_inches="tight")
    axes.figure.clear()
