"""A search by Optuna: each trial is a job, and what the trials before it brought decides its settings."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import Trial, TrialState, create_trial

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


class Search:
    """Asks Optuna for the settings of the next trials, runs them, tells it what they brought.

    Args:
        params: what the file of the sweep searches, {setting: range or choices in Hydra's syntax}.
        rerun: names of jobs to run again although they have ended.
        n_trials: jobs in all.
        n_jobs: trials at a time; None: as many as the launcher runs at once.
        metric, direction: mean in `metrics.json` over validation frames (dataset.split=three), or over the test frames where
            there are none; "maximize" or "minimize".
        sampler, pruner: nodes with `_target_`.

    Raises:
        UserError: a setting that cannot be.
    """

    def __init__(
        self,
        sampler: dict[str, Any],
        pruner: dict[str, Any],
        params: Mapping[str, Any] | None = None,
        rerun: Sequence[str] = (),
        n_trials: int = 20,
        n_jobs: int | None = None,
        metric: str = "psnr_head",
        direction: str = "maximize",
    ) -> None:
        if direction not in ("maximize", "minimize"):
            raise UserError(f"hydra.sweeper.direction is maximize or minimize, not {direction!r}")
        if n_trials < 1 or (n_jobs is not None and n_jobs < 1):
            raise UserError(f"hydra.sweeper: n_trials={n_trials} and n_jobs={n_jobs} must be at least 1")
        self.params = {key: str(value) for key, value in (params or {}).items()}
        self.rerun = list(rerun)
        self.n_trials, self.n_jobs = n_trials, n_jobs
        self.metric, self.direction = metric, direction
        self.sampler, self.pruner = sampler, pruner
        optuna.logging.set_verbosity(optuna.logging.WARNING)

    def run(self, sweep: Sweep) -> None:
        """Go on until there are `n_trials`, and write `search.csv` and `search.png`."""
        fixed, space = self._space(sweep.settings)
        first = self._trial_config(fixed, {key: first_value(values) for key, values in space.items()}, sweep)
        wanted = gpus_wanted([first], sweep.runs_here)
        ensure_sample(first)
        if first.dataset.split == PAPER:
            logger.warning(
                "this search chooses on the test frames that are reported: dataset.split=three keeps validation frames for it"
            )
        if sweep.resume:
            put_aside(sweep.folder, self.rerun, sweep.plan.jobs)
        else:
            sweep.folder.create(sweep.plan, [])
        study = self._open_study(sweep.folder)
        self._open_again(study, sweep)
        sweep.launch(sweep.plan.jobs, wanted)
        self._tell(study, sweep)
        self._report(study, sweep.folder)
        while len(sweep.plan.jobs) < self.n_trials:
            count = min(self.n_jobs or sweep.slots(wanted), self.n_trials - len(sweep.plan.jobs))
            sweep.launch([self._ask(study, sweep, fixed, space) for _ in range(count)], wanted)
            self._tell(study, sweep)
            self._report(study, sweep.folder)
        self._say(study)

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
            sampler["seed"] += len(study.trials)  # a search that goes on must not draw its first values again
        study.sampler = instantiate(sampler)
        return study

    def _ask(self, study: optuna.Study, sweep: Sweep, fixed: list[str], space: dict[str, BaseDistribution]) -> Job:
        for _ in range(MAX_REFUSED):
            trial = study.ask(space)
            try:
                config = self._trial_config(fixed, trial.params, sweep)
                break
            except UserError as error:
                logger.warning("trial %d cannot be: %s", trial.number, error)
                study.tell(trial, state=TrialState.FAIL)
        else:
            raise UserError(f"{MAX_REFUSED} combinations in a row cannot be: narrow what is searched")
        overrides = [*fixed, *(f"{key}={value}" for key, value in trial.params.items())]
        address = {
            "study": str(sweep.folder.path / "study.journal"),
            "trial_id": trial._trial_id,
            "pruner": self.pruner,
        }
        job = Job(job_name(len(sweep.plan.jobs), config), overrides, address)
        sweep.folder.add_job(sweep.plan, job, to_yaml(config))
        return job

    @staticmethod
    def _open_again(study: optuna.Study, sweep: Sweep) -> None:
        """Jobs that run again have trials that were told to have ended: Optuna wants new ones with the same values."""
        trials = {trial._trial_id: trial for trial in study.get_trials(deepcopy=False)}
        for job in sweep.plan.jobs:
            trial = trials.get((job.trial or {}).get("trial_id"))
            if trial and trial.state.is_finished() and sweep.folder.state(job.name).state not in ENDED:
                same = create_trial(state=TrialState.RUNNING, params=trial.params, distributions=trial.distributions)
                job.trial["trial_id"] = study._storage.create_new_trial(study._study_id, template_trial=same)
        sweep.folder.write_plan(sweep.plan)

    @staticmethod
    def _trial_config(fixed: list[str], values: Mapping[str, Any], sweep: Sweep) -> Any:
        return compose_jobs([[*fixed, *(f"{key}={value}" for key, value in values.items())]], sweep.runs_here)[0]

    def _tell(self, study: optuna.Study, sweep: Sweep) -> None:
        """Hand over what jobs brought, of those that have ended since."""
        open_trials = {trial._trial_id: trial for trial in study.get_trials(states=(TrialState.RUNNING,))}
        for job in sweep.plan.jobs:
            trial_id, state = (job.trial or {}).get("trial_id"), sweep.folder.state(job.name).state
            if trial_id not in open_trials or state not in (*ENDED, FAILED):
                continue
            trial = Trial(study, trial_id)
            value = self._value(sweep.folder, job.name) if state == DONE else None
            if value is not None:
                study.tell(trial, value)
            else:
                study.tell(trial, state=TrialState.PRUNED if state == PRUNED else TrialState.FAIL)

    def _value(self, folder: SweepFolder, job: str) -> float | None:
        metrics = json.loads((folder.job_dir(job) / "metrics.json").read_text())
        metrics = metrics.get("val", metrics)
        if self.metric not in metrics["mean"]:
            raise UserError(f"hydra.sweeper.metric={self.metric}: metrics.json has {', '.join(metrics['mean'])}")
        value = metrics["mean"][self.metric]
        if value is None:
            logger.warning("%s has no %s: %s", job, self.metric, metrics["reasons"].get(self.metric))
        return value

    @staticmethod
    def _report(study: optuna.Study, folder: SweepFolder) -> None:
        write_text(folder.path / "search.csv", study.trials_dataframe().to_csv(index=False))
        if len(study.get_trials(states=(TrialState.COMPLETE,))) < 2:
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna's plots by matplotlib are marked experimental
            axes = optuna.visualization.matplotlib.plot_optimization_history(study)
        axes.figure.savefig(folder.path / "search.png", dpi=120, bbox_inches="tight")
        axes.figure.clear()

    def _say(self, study: optuna.Study) -> None:
        done = study.get_trials(states=(TrialState.COMPLETE,))
        if not done:
            logger.warning("no trial of the search came to its end")
            return
        settings = " ".join(f"{key}={value}" for key, value in study.best_params.items())
        logger.info("best of %d trials: %s %.4f with %s", len(study.trials), self.metric, study.best_value, settings)
