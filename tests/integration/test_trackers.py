"""Every experiment tracker takes a whole run."""

from __future__ import annotations

from pathlib import Path

import pytest

from talksplat.callbacks.trackers import CsvTracker
from talksplat.training.run import train
from tests.helpers.runs import small_config


@pytest.mark.parametrize(
    ("overrides", "written"),
    [
        (["tracker=none"], []),
        (["tracker=tensorboard"], ["tensorboard/events.out.tfevents*"]),
        (["tracker=wandb", "tracker.offline=true"], ["wandb/offline-run-*/*.wandb", "wandb_id.txt"]),
    ],
)
def test_tracker(
    overrides: list[str], written: list[str], tiny_subject: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_SILENT", "true")
    run_dir = tmp_path / "run"
    train(small_config(tiny_subject, *overrides), run_dir)
    for pattern in written:
        assert list(run_dir.glob(pattern)), pattern
    assert not (run_dir / "metrics.csv").exists()


def test_csv_drops_what_a_resumed_run_writes_again(tmp_path: Path) -> None:
    tracker = CsvTracker(str(tmp_path))
    for step in (10, 20, 30):
        tracker.log_metrics({"loss": 0.5}, step)
    with open(tmp_path / "metrics.csv", "a") as file:
        file.write("40,lo")  # torn by a kill
    CsvTracker(str(tmp_path), resume_step=20).log_metrics({"loss": 0.25}, 30)
    rows = (tmp_path / "metrics.csv").read_text().split()
    assert rows == ["step,name,value", "10,loss,0.5", "20,loss,0.5", "30,loss,0.25"]
