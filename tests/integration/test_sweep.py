"""A sweep is killed, gone on with, rendered and compared, by the README's commands; launchers of Hydra run its jobs."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from talksplat.config import CONF_DIR
from talksplat.errors import UserError
from talksplat.sweep.command import run_sweep
from tests.helpers.runs import small_overrides
from tests.helpers.waiting import HANG, halted_at, wait_until

TRAIN = str(CONF_DIR.parent / "train.py")
TINY = ("stage.stages.coarse.steps=4", "stage.stages.fine.steps=2", "stage.stages.coarse.density=null", "tracker=none")


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, timeout=HANG)


def status(sweep: Path) -> dict[str, dict[str, str]]:
    with open(sweep / "status.csv", newline="") as file:
        return {row["job"]: row for row in csv.DictReader(file)}


@pytest.mark.slow
def test_killed_sweep_goes_on_and_is_compared(
    tiny_subject: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ["-m", "seed=0,1", *small_overrides(tiny_subject), "hydra.sweep.dir=sweep"]
    sweep = tmp_path / "sweep"
    first, second = sweep / "00_gaussiantalker_seed0", sweep / "01_gaussiantalker_seed1"
    begun = second / "stages" / "01_coarse" / "last.ckpt"
    process = subprocess.Popen(
        [sys.executable, TRAIN, *asked], cwd=tmp_path, stdout=subprocess.DEVNULL, env=halted_at(begun)
    )
    wait_until(lambda: begun.exists() or process.poll() is not None, "a checkpoint of the second job")
    process.kill()  # as when a machine goes down
    os.kill(json.loads((second / "job.json").read_text())["pid"], signal.SIGKILL)
    process.wait()
    finished = (first / "metrics.json").stat().st_mtime_ns
    assert not (second / "metrics.json").exists()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="already holds a sweep: give resume=true"):
        run_sweep(asked)
    with pytest.raises(UserError, match="was asked for with"):
        run_sweep(["-m", "seed=5", "resume=true", "hydra.sweep.dir=sweep"])
    resumed = run(TRAIN, "-m", "resume=true", "hydra.sweep.dir=sweep", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert (first / "metrics.json").stat().st_mtime_ns == finished, "a finished job is not run again"
    rows = status(sweep)
    assert {name: row["state"] for name, row in rows.items()} == {first.name: "done", second.name: "done"}
    assert [row["attempts"] for row in rows.values()] == ["1", "2"]
    assert (
        "resumes at step" in (second / "job.log").read_text() or "finished already" in (second / "job.log").read_text()
    )
    for seed, path in enumerate((first, second)):
        info = json.loads((path / "run_info.json").read_text())
        assert info["seed"] == seed and info["command"].startswith(f"train.py seed={seed} ")
        chosen = yaml.safe_load((path / "config.yaml").read_text())["chosen"]
        assert f"seed={seed}" in chosen["overrides"] and chosen["groups"]["model"] == "gaussiantalker"
        metrics = json.loads((path / "metrics.json").read_text())
        assert metrics["size_bytes"] >= 4 * sum(metrics["parameters"].values())

    render = str(CONF_DIR.parent / "render.py")
    talk = run(render, f"checkpoint={first}/last.ckpt", "text=Hello", "output=talk.mp4", cwd=tmp_path)
    assert talk.returncode == 0, talk.stderr
    assert (tmp_path / "talk.mp4").stat().st_size > 1000
    table = run("-m", "talksplat.compare", "runs=sweep", "out=compare", "video=false", cwd=tmp_path)
    assert table.returncode == 0, table.stderr
    assert "2 (0, 1)" in (tmp_path / "compare" / "comparison.md").read_text()


@pytest.fixture
def no_workers_left() -> Iterator[None]:
    """Ray and joblib keep workers for later; other tests count this process's children."""
    yield
    if "ray" in sys.modules:
        sys.modules["ray"].shutdown()
    if "joblib" in sys.modules:
        from joblib.externals.loky import get_reusable_executor

        get_reusable_executor().shutdown(wait=True)


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["submitit_local", "ray", "joblib"])
def test_launchers_of_hydra(
    launcher: str,
    tiny_subject: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture,
    no_workers_left: None,
) -> None:
    """What a job comes to is known, wherever it ran: submitit's trains, the others' find out that their subject is broken."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "transforms_train.json").write_text("{")
    works = launcher == "submitit_local"
    settings = [text for text in small_overrides(tiny_subject) if not text.startswith("dataset.root")]
    root = f"dataset.root={tiny_subject if works else broken}"
    good = run_sweep(["-m", *settings, *TINY, root, f"hydra/launcher={launcher}", "hydra.sweep.dir=sweep"])
    states = {name: row["state"] for name, row in status(tmp_path / "sweep").items()}
    assert good is works and states == {"00_gaussiantalker_seed0": "done" if works else "failed"}
    said = capfd.readouterr().out
    assert works or ("00_gaussiantalker_seed0: failed" in said and "transforms_train.json" in said)


def test_bad_wishes_are_refused_before_anything_is_made(
    tiny_subject: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    small = small_overrides(tiny_subject)
    for wish, message in {
        "evaluation.batch_size=4,0": r"job 1 \(.*evaluation.batch_size=0\): evaluation.batch_size",
        "trainer.precision=float16": "trainer.precision is auto",
        "hydra.run.dir=here": "hydra.sweep.dir",
        "hydra/launcher=basic": "one process",
        "hydra/launcher=nonsense": "nonsense",
        "hydra/sweeper=basic": "grid or optuna",
        "resume=true": "holds no sweep",
        "loss=perceptual": "vgg",
    }.items():
        with pytest.raises(UserError, match=message):
            run_sweep(["-m", "seed=0,1", *small, "hydra.sweep.dir=sweep", wish])
    assert not [path for path in (tmp_path / "sweep").glob("*") if path.name != ".lock"]
    run_sweep(["-m", "seed=0,1", *small, "hydra.sweep.dir=dry", "dry_run=true"])
    assert not (tmp_path / "dry").exists()
