"""One run over two CPU processes: what one process computes, what a killed one leaves, what is refused."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from talksplat.checkpoint import read_checkpoint
from talksplat.errors import UserError
from talksplat.training.run import TrainingRun, train
from tests.helpers.processes import children_of
from tests.helpers.runs import small_config, weights

TWO = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.checkpoint_every=3"]
# What is drawn at random, or cropped to what a batch holds, differs from one process.
ALIKE = [
    "model.cross_attention.dropout=0",
    "model.tokens.camera.noise=0",
    "loss.dssim.crop=false",
    "trainer.log_every=1",
    "trainer.threads=1",
]


@pytest.fixture(scope="module", autouse=True)
def threads() -> Iterator[None]:
    """Processes on a CPU share its cores; later tests get theirs back."""
    count = torch.get_num_threads()
    yield
    torch.set_num_threads(count)


def trained(subject: Path, run_dir: Path, *overrides: str, callbacks: Sequence[Callback] = ()) -> Path:
    """A run of which only the training is wanted."""
    run = TrainingRun(small_config(subject, *overrides), run_dir, callbacks)
    with run.opened():
        run.train()
    return run_dir


class Terminated(Callback):
    """SIGTERM to the first process in the fifth step of the first stage."""

    def on_train_batch_start(self, trainer: Trainer, module: LightningModule, *rest: Any) -> None:
        if module.stage_name == "coarse" and trainer.global_step == 4:
            os.kill(os.getpid(), signal.SIGTERM)


def rows(run_dir: Path) -> dict[tuple[int, str], float]:
    """The metric history without what depends on the clock."""
    lines = [line.split(",") for line in (run_dir / "metrics.csv").read_text().splitlines()[1:]]
    return {(int(step), name): float(value) for step, name, value in lines if "second" not in name}


@pytest.mark.slow
def test_two_processes_are_one_with_the_batch_of_both(tiny_subject: Path, tmp_path: Path) -> None:
    batch = ["stage.stages.coarse.batch_size=2", "stage.stages.fine.batch_size=2"]
    one = trained(tiny_subject, tmp_path / "one", *ALIKE, *batch)
    assert torch.get_num_threads() == 1, "trainer.threads counts for torch too, whatever numba's pool does as it starts"
    two = trained(tiny_subject, tmp_path / "two", *TWO, *ALIKE)
    expected, found = rows(one), rows(two)
    assert expected.keys() == found.keys()
    for key, value in expected.items():
        # Adam turns the rounding of gradients that are zero but for it into steps.
        assert found[key] == pytest.approx(value, rel=1e-6 if key[0] == 1 else 1e-3, abs=1e-6), key
    first, second = (read_checkpoint(path / "last.ckpt") for path in (one, two))
    count = first["talksplat"]["num_gaussians"]
    assert count == second["talksplat"]["num_gaussians"] != 400
    for name, value in weights(first).items():
        assert (value - weights(second)[name]).abs().float().mean() < 1e-3, name
    # Of its images only its own history tells, and only the first process keeps one.
    assert (two / "processes" / "rank_1.log").exists()
    assert {path.name for path in two.iterdir()} == {path.name for path in one.iterdir()} | {"processes"}


@pytest.mark.slow
def test_an_interrupted_run_goes_on_to_the_same_bits(tiny_subject: Path, tmp_path: Path) -> None:
    whole = trained(tiny_subject, tmp_path / "whole", *TWO)
    run_dir = tmp_path / "run"
    before = set(children_of(os.getpid()))
    with pytest.raises(UserError, match="interrupted in stage coarse at step"):
        trained(tiny_subject, run_dir, *TWO, callbacks=[Terminated()])
    assert set(children_of(os.getpid())) <= before
    assert 3 <= read_checkpoint(run_dir / "last.ckpt")["talksplat"]["step"] < 12
    trained(tiny_subject, run_dir, *TWO, "resume=true")
    first, second = (weights(read_checkpoint(path / "last.ckpt")) for path in (whole, run_dir))
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
    assert rows(whole) == rows(run_dir)


def test_resume_with_other_devices_is_refused(tiny_subject: Path, tmp_path: Path) -> None:
    run = TrainingRun(small_config(tiny_subject, *TWO), tmp_path / "run")
    run.folder.open()
    with pytest.raises(UserError, match=r"trainer\.devices was 2 and is now 1"):
        TrainingRun(small_config(tiny_subject, *TWO, "trainer.devices=1", "resume=true"), tmp_path / "run")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["trainer.devices=auto"], "devices=auto counts GPUs.*trainer.devices=2"),
        (["trainer.devices=0"], "auto or a number of at least 1, not 0"),
        (["trainer.devices=many"], "auto or a number of at least 1, not 'many'"),
        (
            ["trainer.devices=30"],
            "stage coarse needs 30 x 1 different frames per step, and there are 20 training frames",
        ),
    ],
)
def test_what_cannot_be_is_refused(overrides: list[str], message: str, tiny_subject: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        train(small_config(tiny_subject, *TWO, *overrides), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_command_started_several_times_is_refused(
    tiny_subject: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="started several times .*start it once"):
        train(small_config(tiny_subject, *TWO), tmp_path / "run")


def test_more_gpus_than_there_are(tiny_subject: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    overrides = ["trainer.accelerator=gpu", "trainer.devices=4"]
    with pytest.raises(UserError, match="trainer.devices=4, but torch sees 1 GPUs"):
        train(small_config(tiny_subject, *TWO, *overrides), tmp_path / "run")
