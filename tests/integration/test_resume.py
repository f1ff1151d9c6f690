"""A killed run goes on to the same bits; nothing finished is overwritten."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from talksplat.callbacks.checkpointing import KeepCheckpoints
from talksplat.callbacks.history import History
from talksplat.checkpoint import read_checkpoint
from talksplat.command_line import setting
from talksplat.config import CONF_DIR, compose
from talksplat.errors import Interrupted, UserError
from talksplat.older_checkpoints import PREFIXES
from talksplat.training.run import train
from tests.helpers.runs import small_config, small_overrides, weights
from tests.helpers.waiting import HANG, halted_at, let_go, wait_until

ROOT = CONF_DIR.parent


def command(subject: Path, run_dir: Path, *extra: str) -> list[str]:
    return [sys.executable, str(ROOT / "train.py"), *small_overrides(subject, f"hydra.run.dir={run_dir}", *extra)]


@pytest.fixture(scope="module")
def uninterrupted(tiny_subject: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run_dir = tmp_path_factory.mktemp("runs") / "whole"
    train(small_config(tiny_subject), run_dir)
    return run_dir


def kill_when(path: Path, arguments: list[str], number: int = signal.SIGKILL) -> str:
    """Start a run and send it a signal when it has written a file, before it does anything else; returns what it printed."""
    process = subprocess.Popen(
        arguments, cwd=path.parents[3], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=halted_at(path)
    )
    wait_until(lambda: path.exists() or process.poll() is not None, f"{path.name}")
    if process.poll() is not None:
        pytest.fail(f"the run ended before {path.name} appeared:\n{process.stdout.read().decode()}")
    os.kill(process.pid, number)
    let_go(path)
    return process.communicate(timeout=HANG)[0].decode()


def say_it_took(path: Path, seconds: float) -> None:
    """Change the time that a checkpoint says was spent on its stage."""
    checkpoint = torch.load(path, weights_only=True)
    assert 0 < checkpoint["talksplat"]["seconds"] < seconds / 10
    checkpoint["talksplat"]["seconds"] = seconds
    torch.save(checkpoint, path)


def history(run_dir: Path) -> list[str]:
    """Rows of the metric history that do not depend on the clock."""
    rows = (run_dir / "metrics.csv").read_text().splitlines()
    return [row for row in rows if "images_per_second" not in row and ",seconds," not in row]


def training_seconds(run_dir: Path) -> list[float]:
    """Clock of the metric history."""
    rows = (run_dir / "metrics.csv").read_text().splitlines()
    return [float(row.rsplit(",", 1)[1]) for row in rows if ",seconds," in row]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "number"), [("01_coarse", signal.SIGKILL), ("02_fine", signal.SIGKILL), ("01_coarse", signal.SIGINT)]
)
def test_kill_and_resume_gives_the_same_bits(
    stage: str, number: int, tiny_subject: Path, tmp_path: Path, uninterrupted: Path
) -> None:
    run_dir = tmp_path / "killed"
    printed = kill_when(run_dir / "stages" / stage / "last.ckpt", command(tiny_subject, run_dir), number)
    if number == signal.SIGINT:
        assert "resume=true" in printed and "Traceback" not in printed, printed
    assert not (run_dir / "metrics.json").exists()
    say_it_took(run_dir / "stages" / stage / "last.ckpt", 1e6)
    subprocess.run(command(tiny_subject, run_dir, "resume=true"), check=True, cwd=tmp_path, capture_output=True)
    whole, resumed = (weights(read_checkpoint(path / "last.ckpt")) for path in (uninterrupted, run_dir))
    assert whole.keys() == resumed.keys()
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name
    first, second = (json.loads((path / "metrics.json").read_text()) for path in (uninterrupted, run_dir))
    assert first["frames"] == second["frames"]
    assert history(uninterrupted) == history(run_dir)
    timings = json.loads((run_dir / "run_info.json").read_text())["timings"]
    assert [name for name, seconds in timings.items() if seconds > 1e6] == [stage[3:]], "time before the kill counts"
    clock = training_seconds(run_dir)
    rounding = 0.1  # metrics.csv has eight digits
    assert clock == sorted(clock) and clock[-1] > 1e6 and clock[-1] <= sum(timings.values()) + rounding


def as_before_layers(path: Path) -> None:
    """Give a checkpoint the names that version 0.1 had before avatars had layers."""
    checkpoint = torch.load(path, weights_only=True)
    for name in list(checkpoint["state_dict"]):
        for old, new in PREFIXES.items():
            if name.startswith(f"model.{new}"):
                value = checkpoint["state_dict"].pop(name)
                checkpoint["state_dict"][f"model.{old}{name.removeprefix(f'model.{new}')}"] = value
    training, entry = checkpoint["training"], checkpoint["talksplat"]
    training["gaussian_optimizers"] = {
        name.removeprefix("face."): state for name, state in training["gaussian_optimizers"].items()
    }
    training["density"] = training["density"].get("face")
    del entry["layers"], entry["deforms"], entry["subjects"]
    torch.save(checkpoint, path)


def test_a_run_from_before_layers_is_resumed(tiny_subject: Path, tmp_path: Path, uninterrupted: Path) -> None:
    class PowerCut(Callback):
        def on_train_batch_end(self, trainer: Trainer, module: LightningModule, *rest: Any) -> None:
            if module.stage_name == "coarse" and trainer.global_step == 7:
                raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        train(small_config(tiny_subject), tmp_path / "run", [PowerCut()])
    as_before_layers(tmp_path / "run" / "stages" / "01_coarse" / "last.ckpt")
    train(small_config(tiny_subject, "resume=true"), tmp_path / "run")
    whole, resumed = (weights(read_checkpoint(path)) for path in (uninterrupted, tmp_path / "run"))
    assert whole.keys() == resumed.keys() and all(torch.equal(value, resumed[name]) for name, value in whole.items())


def test_a_backup_is_restored_by_copying_it_back(
    tiny_subject: Path, tmp_path: Path, uninterrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, show = tmp_path / "nas", History.on_train_batch_end

    def cut_power(self: History, trainer: Trainer, module: LightningModule, *rest: Any) -> None:
        if module.stage_name == "fine" and trainer.global_step == 5:
            raise RuntimeError("power cut")
        show(self, trainer, module, *rest)

    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="power cut"):
        patch.setattr(History, "on_train_batch_end", cut_power)
        train(small_config(tiny_subject, f"backup.target={target}"), tmp_path / "broken")
    shutil.rmtree(tmp_path / "broken")
    restored = tmp_path / "restored"
    shutil.copytree(target / "broken", restored)
    train(small_config(tiny_subject, "resume=true", f"backup.target={target}"), restored)
    whole, resumed = (weights(read_checkpoint(path / "last.ckpt")) for path in (uninterrupted, restored))
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())
    assert history(uninterrupted) == history(restored)
    assert not (target / "restored" / "metrics.json.part").exists()
    for path in restored.rglob("*.json"):
        copy = target / "restored" / path.relative_to(restored)
        assert copy.read_text() == path.read_text(), "the end of the run is in the backup as well"
    assert (target / "restored" / "test" / "render.mp4").read_bytes() == (restored / "test/render.mp4").read_bytes()


def test_best_is_chosen_by_held_out_frames(uninterrupted: Path) -> None:
    rows = [row.split(",") for row in history(uninterrupted) if ",fine/val_psnr_composite," in row]
    best = max(rows, key=lambda row: float(row[2]))
    assert read_checkpoint(uninterrupted / "best.ckpt")["talksplat"]["step"] == int(best[0]) - 12
    record = json.loads((uninterrupted / "stages" / "02_fine" / "best.json").read_text())
    assert record["val_psnr_composite"] == pytest.approx(float(best[2]))


def test_ctrl_c_in_the_last_step_of_a_stage_does_not_begin_the_next(
    tiny_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def press(callback, trainer, module) -> None:
        module.request_stop()
        return finish(callback, trainer, module)

    finish = KeepCheckpoints.on_train_end
    monkeypatch.setattr(KeepCheckpoints, "on_train_end", press)
    run_dir = tmp_path / "run, (1)"
    with pytest.raises(Interrupted, match="after stage coarse") as interruption:
        train(small_config(tiny_copy.rename(tmp_path / "it's, ${one}")), run_dir)
    script, *given = shlex.split(str(interruption.value).partition("resume with: python ")[2])
    assert script == "train.py" and given[-1] == setting("hydra.run.dir", run_dir).strip("'")
    train(compose("train", [*given, "dry_run=true"]), run_dir)  # which checks that it is the same run
    assert (run_dir / "stages" / "01_coarse" / "finished.json").exists()
    assert not (run_dir / "stages" / "02_fine").exists()


def test_checkpoints_hold_no_code(uninterrupted: Path) -> None:
    checkpoint = torch.load(uninterrupted / "last.ckpt", weights_only=True)
    assert checkpoint["talksplat"]["stage"] == "fine"
    assert checkpoint["talksplat"]["num_gaussians"] == len(
        checkpoint["state_dict"]["model.layers.face.gaussians.params.means"]
    )


def test_density_control_changed_the_number(uninterrupted: Path) -> None:
    """Otherwise the resume test would say nothing about resizing."""
    first = read_checkpoint(uninterrupted / "stages" / "01_coarse" / "last.ckpt")
    assert first["talksplat"]["num_gaussians"] != 400


def test_history_is_whole(uninterrupted: Path) -> None:
    rows = (uninterrupted / "metrics.csv").read_text().splitlines()
    assert rows[0] == "step,name,value"
    steps = [int(row.split(",")[0]) for row in rows if ",fine/loss," in row]
    assert steps == [14, 16, 18, 20]
    told = [tuple(row.split(",")[:2]) for row in rows[1:]]
    assert len(told) == len(set(told)), "no value is told twice at one step"
    clocked = {step for step, name in told if name == "seconds"}
    assert clocked == {step for step, _ in told}, "every row has its time"
    clock = training_seconds(uninterrupted)
    assert (
        clock == sorted(clock)
        and clock[-1] > json.loads((uninterrupted / "run_info.json").read_text())["timings"]["coarse"]
    ), "the time runs on over the stages"


def test_a_finished_run_is_not_overwritten(tiny_subject: Path, uninterrupted: Path) -> None:
    with pytest.raises(UserError, match="already holds a run"):
        train(small_config(tiny_subject), uninterrupted)
    with pytest.raises(UserError, match="finished"):
        train(small_config(tiny_subject, "resume=true"), uninterrupted)


def test_resume_refuses_another_configuration(tiny_subject: Path, uninterrupted: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    (run_dir / "config.yaml").write_text((uninterrupted / "config.yaml").read_text())
    with pytest.raises(UserError, match="seed was 0 and is now 3"):
        train(small_config(tiny_subject, "resume=true", "seed=3"), run_dir)


def test_resume_without_a_run(tiny_subject: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no run"):
        train(small_config(tiny_subject, "resume=true"), tmp_path / "nothing")


def test_dry_run_trains_nothing(tiny_subject: Path, tmp_path: Path) -> None:
    assert train(small_config(tiny_subject, "dry_run=true"), tmp_path / "dry") is None
    assert not (tmp_path / "dry").exists()
