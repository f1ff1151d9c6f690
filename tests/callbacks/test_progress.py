"""What a run says of itself while it trains, on a clock that the test sets."""

from __future__ import annotations

import json
import logging
import sys
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console

from talksplat.callbacks.progress import RunProgress, StageProgress
from talksplat.callbacks.time_left import Part


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def parts() -> list[Part]:
    return [
        Part("coarse", "canonical", 100, 1.0),
        Part("fine", "deform", 50, 2.0),
        Part("held-out frames", "measured", 8, 2.0),
    ]


def open_progress(run_dir: Path | None, clock: Clock, terminal: bool = False) -> tuple[RunProgress, StringIO]:
    text = StringIO()
    console = Console(file=text, force_terminal=terminal, width=100)
    return RunProgress(parts(), 2, run_dir, console, clock), text


def read(run_dir: Path) -> dict:
    return json.loads((run_dir / "progress.json").read_text())


def steps(progress: RunProgress, clock: Clock, start: int, stop: int, seconds: float = 1.0, loss: float = 0.5) -> None:
    for step in range(start + 1, stop + 1):
        clock.now += seconds
        progress.update(step, lambda: {"loss": loss, "psnr": 21.0, "num_gaussians": 12345})


def test_the_file_follows_the_run(tmp_path: Path) -> None:
    clock = Clock()
    progress, _ = open_progress(tmp_path, clock)
    with progress:
        progress.begin("coarse", images=4)
        first = read(tmp_path)
        assert (first["state"], first["step"], first["seconds_left"], first["loss"]) == ("training", 0, None, None)
        steps(progress, clock, 0, 20)
        middle = read(tmp_path)
        assert (middle["stage"], middle["stage_index"], middle["num_stages"]) == ("coarse", 1, 2)
        assert (middle["step"], middle["steps"], middle["loss"], middle["num_gaussians"]) == (20, 100, 0.5, 12345)
        assert middle["images_per_second"] == pytest.approx(4.0) and middle["memory_gib"] > 0.01
        assert middle["seconds_left"] == pytest.approx(80 + 50 * 2 + 8 * 2)
        assert middle["fraction"] == pytest.approx(20 / 216, abs=1e-4)
        progress.begin("held-out frames")
        clock.now += 3
        progress.advance(4)
        measuring = read(tmp_path)
        assert (measuring["state"], measuring["step"], measuring["steps"]) == ("measuring", 4, 8)
        assert measuring["loss"] is None, "nothing is trained now"
    last = read(tmp_path)
    assert (last["state"], last["fraction"], last["seconds_left"]) == ("finished", 1.0, 0.0)


def test_the_end_of_a_stage_is_written_whatever_the_time(tmp_path: Path) -> None:
    clock = Clock()
    progress, _ = open_progress(tmp_path, clock)
    progress.begin("coarse")
    steps(progress, clock, 0, 100, seconds=0.001)
    assert read(tmp_path)["step"] == 100


def test_a_run_that_fails_is_no_finished_one(tmp_path: Path) -> None:
    clock = Clock()
    progress, _ = open_progress(tmp_path, clock)
    with pytest.raises(RuntimeError), progress:
        progress.begin("coarse")
        steps(progress, clock, 0, 10)
        raise RuntimeError
    assert read(tmp_path)["state"] == "stopped" and read(tmp_path)["fraction"] < 0.1


def test_numbers_that_json_has_not_are_null(tmp_path: Path) -> None:
    clock = Clock()
    progress, _ = open_progress(tmp_path, clock)
    progress.begin("coarse")
    steps(progress, clock, 0, 10, loss=float("inf"))
    assert read(tmp_path)["loss"] is None and read(tmp_path)["psnr"] == 21.0


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    progress, _ = open_progress(tmp_path / "absent", clock)
    with progress:
        progress.begin("coarse")
        steps(progress, clock, 0, 100)
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1 and "progress.json" in warnings[0].getMessage()


def test_plain_lines_where_there_is_no_terminal(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    progress, text = open_progress(None, clock)
    with caplog.at_level(logging.INFO), progress:
        progress.begin("coarse")
        steps(progress, clock, 0, 100)
        progress.begin("fine")
        clock.now += 1
        progress.update(50)
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0].startswith("stage 1/2 coarse  15/100  loss 0.5000  psnr 21.00  12,345 Gaussians  1.0 images/s  ")
    assert lines[0].endswith("left about 3:21"), "85 s of this stage, 100 s and 16 s guessed of the rest"
    assert len(lines) == 100 // 15 + 1 + 1 + 1, "every 15 s, at the end of both stages, and at the end of the run"
    assert text.getvalue() == ""


def test_bars_and_log_lines_on_a_terminal() -> None:
    clock = Clock()
    progress, text = open_progress(None, clock, terminal=True)
    stream = StringIO()
    before, sys.stdout = sys.stdout, stream
    handler = logging.StreamHandler(sys.stdout)
    log = logging.getLogger()
    log.addHandler(handler)
    try:
        with progress:
            progress.begin("fine", done=30)
            steps(progress, clock, 30, 40)
            log.warning("a line in between")
            assert stream.getvalue() == "", "it would tear the bars"
        assert handler.stream is stream
        log.warning("a line after")
    finally:
        sys.stdout = before
        log.removeHandler(handler)
    shown = text.getvalue()
    assert "stage 2/2 fine" in shown and "40/50" in shown and "whole run" in shown and "a line in between" in shown
    assert "left about 0:18" in shown, "10 s of this stage, 8 s guessed of what is measured"
    assert "1.0 images/s" in shown
    assert stream.getvalue() == "a line after\n"


def test_a_step_costs_next_to_nothing(tmp_path: Path) -> None:
    """Losses are read only where something is shown: on a GPU that waits for the step."""
    clock, read_losses = Clock(), []
    progress, _ = open_progress(tmp_path, clock)
    callback = StageProgress(progress, "coarse")
    module = SimpleNamespace(stage=SimpleNamespace(batch_size=1), model=SimpleNamespace(num_gaussians=1))
    trainer = SimpleNamespace(is_global_zero=True, world_size=1, global_step=0)

    class Loss:
        def __float__(self) -> float:
            read_losses.append(trainer.global_step)
            return 0.5

    outputs = {"loss": Loss(), "psnr": torch.tensor(20.0)}
    callback.on_train_start(trainer, module)
    for step in range(1, 90):
        clock.now += 60.0 if step == 80 else 0.001
        trainer.global_step = step
        callback.on_train_batch_end(trainer, module, outputs, None, 0)
    assert read_losses == [80]
