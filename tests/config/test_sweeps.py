"""Sweeps: every job composes, the command line combines with the file, folders are named by what is in them."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from talksplat.config import CONF_DIR, compose
from talksplat.config.resolvers import job_name
from talksplat.config.sweeps import equal_jobs, sweep_jobs
from talksplat.errors import UserError
from tests.config.test_experiments import ROWS
from tests.helpers.experiments import names
from tests.helpers.runs import small_overrides

ROOT = CONF_DIR.parent
ROW = "experiment@_global_"


@pytest.mark.parametrize("sweep", names("sweep"))
def test_rows_are_shipped_and_differ(sweep: str) -> None:
    """That each of them composes is tested with the experiments."""
    jobs = sweep_jobs([f"sweep={sweep}", "stage=smoke"])
    rows = [setting.removeprefix(f"{ROW}=") for job in jobs for setting in job if setting.startswith(ROW)]
    assert set(rows) <= set(ROWS) and len(rows) == len(set(rows))
    assert len(rows) == (0 if sweep == "models" else len(jobs))
    assert compose("train", jobs[-1]).stage.stages.coarse.steps == 20


def test_command_line_combines_with_the_file() -> None:
    file, rows = "sweep=gaussiantalker/layers", ("gaussiantalker/one_layer", "gaussiantalker/two_layers")
    assert sweep_jobs([file, "seed=0,1"]) == [[f"{ROW}={r}", file, f"seed={s}"] for r in rows for s in (0, 1)]
    assert sweep_jobs(["sweep=models", "seed=7", "model=static"]) == [["model=static", "seed=7", "sweep=models"]]
    assert sweep_jobs(["model=static,egstalker", "seed=0"]) == [
        ["model=static", "seed=0"],
        ["model=egstalker", "seed=0"],
    ]
    assert sweep_jobs(["seed=choice(0,1)", "hydra/sweeper=optuna"]) == []
    assert sweep_jobs(["model=glob(*)"]) == [], "Hydra knows the files of a group"
    assert len(sweep_jobs(["+sweep=models"])) == 9
    with pytest.raises(UserError, match="cannot read"):
        sweep_jobs(["seed=[0,1"])
    for two in ("sweep=models,egstalker/agents", "sweep=[models,egstalker/agents]"):
        with pytest.raises(UserError, match="one sweep at a time"):
            sweep_jobs([two])


def test_jobs_that_differ_in_name_alone_are_found() -> None:
    jobs = sweep_jobs(["sweep=gaussiantalker/layers", "experiment=gaussiantalker/paper"])
    assert equal_jobs([compose("train", job) for job in jobs]) == []
    jobs = sweep_jobs(["sweep=gaussiantalker/layers", "seed=0,1"]) + [["seed=1"]]
    assert equal_jobs([compose("train", job) for job in jobs]) == [[1, 4]], "one layer is the default"


def test_rows_stand_on_an_experiment_of_the_command_line() -> None:
    job = sweep_jobs(["sweep=gaussiantalker/conditions", "experiment=gaussiantalker/paper"])[2]
    row, stacked = compose("train", job), compose("train", ["experiment=[gaussiantalker/paper,gaussiantalker/no_eye]"])
    assert row.chosen.experiments == stacked.chosen.experiments == ["gaussiantalker/paper", "gaussiantalker/no_eye"]
    assert {key: value for key, value in row.items() if key != "chosen"} == {
        key: value for key, value in stacked.items() if key != "chosen"
    }


def test_names_of_jobs() -> None:
    assert job_name(3, [f"{ROW}=egstalker/no_ppe", "stage=quick"], "egstalker", 1) == "03_no_ppe_seed1"
    paper = ["experiment=[egstalker/paper,egstalker/no_ppe]"]
    assert job_name(0, [*paper, f"{ROW}=null"], "egstalker", 0) == "00_paper+no_ppe_seed0"
    assert job_name(12, ["dataset.root=a=b", "model=static"], "static", 2) == "12_static_seed2"


def test_wrong_settings_of_any_job_are_found_before_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    main = runpy.run_path(str(ROOT / "train.py"), run_name="train")["main"]
    arguments = ["sweep=gaussiantalker/layers", "hydra.sweep.dir=out", "evaluation.batch_size=4,0"]
    monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2 and "evaluation.batch_size" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_command(tiny_subject: Path, tmp_path: Path) -> None:
    """Hydra takes the sweep apart as `sweep_jobs` does."""
    arguments = ["sweep=gaussiantalker/layers", "seed=0,1", "hydra.sweep.dir=out", "hydra.output_subdir=job"]
    command = [sys.executable, str(ROOT / "train.py"), *arguments, *small_overrides(tiny_subject, "dry_run=true")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_dir()) == [
        "00_one_layer_seed0",
        "01_one_layer_seed1",
        "02_two_layers_seed0",
        "03_two_layers_seed1",
    ]
