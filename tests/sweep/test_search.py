"""A search asks, tells, gives up bad trials, and goes on after an interruption."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import optuna
import pytest
from optuna.trial import TrialState

from talksplat.callbacks.history import RunOffset
from talksplat.callbacks.preview import Preview
from talksplat.errors import Pruned, UserError
from talksplat.sweep.command import run_sweep
from talksplat.sweep.engine import Sweep
from talksplat.sweep.expand import parse_overrides
from talksplat.sweep.folder import SweepFolder, SweepSpec
from talksplat.sweep.processes import ProcessLauncher
from talksplat.sweep.pruning import STUDY, Pruning, open_storage
from talksplat.sweep.search import Search
from talksplat.sweep.space import distribution
from tests.sweep.fakes import use_program

SAMPLER = {"_target_": "optuna.samplers.TPESampler", "seed": 0}
PRUNER = {"_target_": "optuna.pruners.MedianPruner", "n_startup_trials": 1, "n_warmup_steps": 0}
SPACE = ["trainer=cpu", "stage=smoke", "stage.stages.fine.learning_rates.scale=tag(log,interval(0.1,10.0))"]
# The best scale is 1; a model is worse; one choice breaks its job.
PROGRAM = """
import math, yaml
config = yaml.safe_load((folder / "configs" / f"{name}.yaml").read_text())
if config["evaluation"]["batch_size"] == 3: raise ValueError("three is broken")
scale = config["stage"]["stages"]["fine"]["learning_rates"]["scale"]
(run / "metrics.json").write_text(json.dumps({"mean": {"psnr_head": 30 - math.log(scale) ** 2}, "reasons": {}}))
"""


def start(folder: SweepFolder, resume: bool) -> Sweep:
    folder.path.mkdir(parents=True, exist_ok=True)
    spec = folder.read_spec() if resume else SweepSpec("train.py", SPACE, str(folder.path), {"commit": None}, "2026")
    return Sweep(folder, spec, ProcessLauncher())


def states(folder: SweepFolder) -> list[TrialState]:
    return [
        t.state for t in optuna.load_study(study_name=STUDY, storage=open_storage(folder.path / "study.journal")).trials
    ]


def test_search_finds_the_best_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("talksplat.sweep.search.ensure_sample", lambda config: None)
    use_program(monkeypatch, tmp_path, PROGRAM)
    folder = SweepFolder(tmp_path / "sweep")
    params = {"evaluation.batch_size": "choice(2,3)"}
    Search(SAMPLER, PRUNER, params, n_trials=4, n_jobs=2).run(start(folder, resume=False))
    assert len(folder.read_spec().jobs) == 4
    found = states(folder)
    broken = [folder.config(job.name).evaluation.batch_size == 3 for job in folder.read_spec().jobs]
    assert (
        found == [TrialState.FAIL if bad else TrialState.COMPLETE for bad in broken] and any(broken) and not all(broken)
    )
    assert (folder.path / "search.csv").read_text().count("\n") == 5

    Search(SAMPLER, PRUNER, params, n_trials=6, n_jobs=2).run(start(folder, resume=True))
    spec = folder.read_spec()
    scales = [folder.config(job.name).stage.stages.fine.learning_rates.scale for job in spec.jobs]
    assert len(set(scales)) == 6, "a search that goes on does not draw its first values again"
    assert (folder.path / "search.png").stat().st_size > 5000
    study = optuna.load_study(study_name=STUDY, storage=open_storage(folder.path / "study.journal"))
    trials = {trial._trial_id: trial for trial in study.trials}
    ended = [trials[job.trial["trial_id"]].state for job in spec.jobs]
    done = [scale for scale, state in zip(scales, ended) if state == TrialState.COMPLETE]
    best = study.best_params["stage.stages.fine.learning_rates.scale"]
    assert best == min(done, key=lambda scale: max(scale, 1 / scale))


def test_the_printed_command_goes_on_with_a_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`resume=true hydra.sweep.dir=...` alone: sweeper, its settings and the launcher's are those of the first command. A job
    that failed gets a trial that can be told again."""
    monkeypatch.setattr("talksplat.sweep.search.ensure_sample", lambda config: None)
    monkeypatch.chdir(tmp_path)
    program = """
if name.startswith("01") and not (folder / "mended").exists(): raise OSError("no space left")
import yaml
from talksplat.sweep.pruning import Pruning
job = next(job for job in json.loads((folder / "sweep.json").read_text())["jobs"] if job["name"] == name)
Pruning(**job["trial"]).trial.report(1.0, 1)
(run / "metrics.json").write_text(json.dumps({"mean": {"psnr": 20.0 + int(name[:2])}, "reasons": {}}))
"""
    use_program(monkeypatch, tmp_path, program)
    asked = [
        "hydra/sweeper=optuna",
        "hydra.sweeper.n_trials=3",
        "hydra.sweeper.metric=psnr",
        "hydra.launcher.parallel=2",
    ]
    assert not run_sweep(["-m", *SPACE, *asked, "hydra.sweep.dir=sweep"])
    folder = SweepFolder(tmp_path / "sweep")
    assert states(folder) == [TrialState.COMPLETE, TrialState.FAIL, TrialState.COMPLETE]
    (folder.path / "mended").touch()
    assert run_sweep(["-m", "resume=true", "hydra.sweep.dir=sweep", "hydra.sweeper.n_trials=4"])
    assert len(folder.read_spec().jobs) == 4
    assert states(folder).count(TrialState.COMPLETE) == 4 and states(folder).count(TrialState.FAIL) == 1
    with pytest.raises(UserError, match="goes with resume=true"):
        run_sweep(["-m", *SPACE, "hydra.sweeper.rerun=[00_gaussiantalker_seed0]"])


def test_a_trial_that_falls_behind_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    study = optuna.create_study(study_name=STUDY, storage=open_storage(path), direction="maximize")

    def follow(psnrs: list[float]) -> int | None:
        """Step at which a trial with these previews is given up."""
        trial = study.ask()
        pruning = Pruning(str(path), trial._trial_id, PRUNER)
        preview = Preview(None, tmp_path, None, RunOffset(0, 0.0))
        trainer = SimpleNamespace(callbacks=[preview, pruning])
        for step, psnr in enumerate(psnrs, 1):
            preview.measured = (step * 10, psnr)
            try:
                for _ in range(3):  # steps between previews report nothing
                    pruning.on_train_batch_end(trainer, None, None, None, 0)
            except Pruned as pruned:
                assert f"step {step * 10}" in str(pruned) and f"{psnr:.2f}" in str(pruned)
                study.tell(trial, state=TrialState.PRUNED)
                return step
        study.tell(trial, psnrs[-1])
        return None

    assert follow([20.0, 22.0, 25.0]) is None
    assert follow([21.0, 23.0, 26.0]) is None
    assert follow([20.6, 15.0, 30.0]) == 2


def test_distributions() -> None:
    texts = ["a=range(2,9,3)", "b=interval(1e-4,1.0)", "c=tag(log,int(interval(1,100)))", "d=choice([0.1,0.2],[1,2])"]
    a, b, c, d = (distribution(override) for override in parse_overrides(texts))
    assert (a.low, a.high, a.step) == (2, 8, 3)
    assert isinstance(b, optuna.distributions.FloatDistribution) and (b.low, b.high, b.log) == (1e-4, 1.0, False)
    assert isinstance(c, optuna.distributions.IntDistribution) and c.log
    assert d.choices == ("[0.1,0.2]", "[1,2]")


def test_wrong_wishes() -> None:
    with pytest.raises(UserError, match="maximize or minimize"):
        Search(SAMPLER, PRUNER, direction="up")
    with pytest.raises(UserError, match="nothing to search"):
        Search(SAMPLER, PRUNER).dry_run(["model=static"])


def test_a_search_chooses_on_validation_frames_where_there_are_some(tmp_path: Path, monkeypatch, caplog) -> None:
    """And says so where it has none but the frames that are reported."""
    monkeypatch.setattr("talksplat.sweep.search.ensure_sample", lambda config: None)
    use_program(
        monkeypatch,
        tmp_path,
        """
import yaml
measured = {"mean": {"psnr_head": 10.0 + int(name[:2])}, "reasons": {}}
if yaml.safe_load((folder / "configs" / f"{name}.yaml").read_text())["dataset"]["split"] == "three":
    measured["val"] = {"mean": {"psnr_head": 30.0 - int(name[:2])}, "reasons": {}}
(run / "metrics.json").write_text(json.dumps(measured))
""",
    )
    best = {}
    for split in ("paper", "three"):
        folder, caplog_start = SweepFolder(tmp_path / split), len(caplog.records)
        folder.path.mkdir()
        settings = [*SPACE, f"dataset.split={split}"]
        spec = SweepSpec("train.py", settings, str(tmp_path), {"commit": None}, "2026")
        Search(SAMPLER, PRUNER, n_trials=2, n_jobs=2).run(Sweep(folder, spec, ProcessLauncher()))
        study = optuna.load_study(study_name=STUDY, storage=open_storage(folder.path / "study.journal"))
        best[split] = study.best_value
        warned = [record for record in caplog.records[caplog_start:] if "dataset.split=three" in record.getMessage()]
        assert len(warned) == (split == "paper")
    assert best == {"paper": 11.0, "three": 30.0}
