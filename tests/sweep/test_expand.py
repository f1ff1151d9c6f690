"""Which jobs a command line asks for: the command line combines with the file of a sweep."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins

from talksplat.config import compose
from talksplat.config.compose import compose_unchecked
from talksplat.errors import UserError
from talksplat.sweep.command import run_sweep
from talksplat.sweep.expand import equal_jobs, grid_jobs, job_name
from tests.config.test_experiments import ROWS
from tests.helpers.experiments import names

ROW = "experiment@_global_"
GRIDS = [name for name in names("sweep") if name != "search"]


def jobs_of(name: str, *settings: str) -> list[list[str]]:
    params = compose_unchecked("train", [f"sweep={name}"]).hydra.sweeper.params
    return grid_jobs([f"sweep={name}", *settings], params)


@pytest.mark.parametrize("sweep", GRIDS)
def test_rows_are_shipped_and_differ(sweep: str) -> None:
    """That each of them composes is tested with the experiments."""
    jobs = jobs_of(sweep, "stage=smoke")
    rows = [setting.removeprefix(f"{ROW}=") for job in jobs for setting in job if setting.startswith(ROW)]
    assert set(rows) <= set(ROWS) and len(rows) == len(set(rows))
    assert len(rows) == (0 if sweep in ("models", "seeds") else len(jobs))
    assert compose("train", jobs[-1]).stage.stages.coarse.steps == 20


def test_command_line_combines_with_the_file() -> None:
    file, rows = "sweep=gaussiantalker/layers", ("gaussiantalker/one_layer", "gaussiantalker/two_layers")
    layers = {ROW: ",".join(rows)}
    assert grid_jobs([file, "seed=0,1"], layers) == [[f"{ROW}={r}", file, f"seed={s}"] for r in rows for s in (0, 1)]
    models = {"model": "gaussiantalker,static", "seed": "0,1,2"}
    assert grid_jobs(["seed=7", "model=static"], models) == [["model=static", "seed=7"]]
    assert grid_jobs(["model=static,egstalker", "seed=0"]) == [
        ["model=static", "seed=0"],
        ["model=egstalker", "seed=0"],
    ]
    assert len(grid_jobs(["seed=range(0,6,2)"])) == 3
    assert [job[0] for job in grid_jobs(["model=glob(*)"])] == [
        "model=egstalker",
        "model=gaussiantalker",
        "model=static",
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["seed=[0,1"], "cannot read"),
        (["sweep=models,egstalker/agents"], "one sweep at a time"),
        (["sweep=[models,egstalker/agents]"], "one sweep at a time"),
        (["stage.stages.fine.learning_rates.scale=interval(0.1,1)"], "hydra/sweeper=optuna"),
    ],
)
def test_what_cannot_be_taken_apart(settings: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        grid_jobs(settings)


def test_jobs_that_differ_in_name_alone_are_found() -> None:
    jobs = jobs_of("gaussiantalker/layers", "experiment=gaussiantalker/paper")
    assert equal_jobs([compose("train", job) for job in jobs]) == []
    jobs = [*jobs_of("gaussiantalker/layers", "seed=0,1"), ["seed=1"]]
    assert equal_jobs([compose("train", job) for job in jobs]) == [[1, 4]], "one layer is the default"


def test_rows_stand_on_an_experiment_of_the_command_line() -> None:
    job = jobs_of("gaussiantalker/conditions", "experiment=gaussiantalker/paper")[2]
    row, stacked = compose("train", job), compose("train", ["experiment=[gaussiantalker/paper,gaussiantalker/no_eye]"])
    assert row.chosen.experiments == stacked.chosen.experiments == ["gaussiantalker/paper", "gaussiantalker/no_eye"]
    assert {key: value for key, value in row.items() if key != "chosen"} == {
        key: value for key, value in stacked.items() if key != "chosen"
    }


def test_names_of_jobs() -> None:
    assert job_name(3, compose("train", ["model=egstalker", f"{ROW}=egstalker/no_ppe", "seed=1"])) == "03_no_ppe_seed1"
    paper = ["experiment=[egstalker/paper,egstalker/no_ppe]", "loss=default"]
    assert job_name(0, compose("train", paper)) == "00_paper+no_ppe_seed0"
    assert job_name(12, compose("train", ["model=static", "seed=2"])) == "12_static_seed2"


@pytest.mark.parametrize(
    ("choice", "extra"),
    [("hydra/launcher=submitit_slurm", "submitit"), ("hydra/launcher=ray", "ray"), ("hydra/launcher=joblib", "joblib")],
)
def test_a_launcher_that_is_not_installed_names_its_extra(
    choice: str, extra: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Plugins.instance()  # registers what is installed
    config_store = ConfigStore.instance().repo["hydra"]["launcher"]
    monkeypatch.delitem(config_store, f"{choice.partition('=')[2]}.yaml")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=rf"not installed: pip install -e '\.\[{extra}\]'"):
        run_sweep(["-m", "seed=0,1", choice])
