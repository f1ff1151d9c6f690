"""The history in a run folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from talksplat.trackers.base import TrackedRun
from talksplat.trackers.csv_tracker import CsvTracker
from talksplat.trackers.open import open_trackers
from tests.trackers.recording import RecordingTracker


@pytest.fixture
def run(tmp_path: Path) -> TrackedRun:
    return TrackedRun(tmp_path, "a seed0", (), None, {}, {}, {"coarse": 0})


def test_a_resumed_run_drops_what_it_writes_again(run: TrackedRun) -> None:
    tracker = CsvTracker()
    tracker.open(run)
    for step in (10, 20, 30):
        tracker.log_metrics({"loss": 0.5}, step)
    with open(run.folder / "metrics.csv", "a") as file:
        file.write("40,lo")  # torn by a kill
    tracker = CsvTracker()
    tracker.open(replace(run, resume_step=20))
    tracker.log_metrics({"loss": 0.25}, 30)
    rows = (run.folder / "metrics.csv").read_text().split()
    assert rows == ["step,name,value", "10,loss,0.5", "20,loss,0.5", "30,loss,0.25"]


def test_a_value_is_told_once_at_a_step(run: TrackedRun) -> None:
    tracker = CsvTracker()
    tracker.open(run)
    tracker.log_metrics({"loss": 0.5, "seconds": 1.0}, 10)
    tracker.log_metrics({"psnr": 20.0, "seconds": 1.5}, 10)
    tracker.log_metrics({"loss": 0.4, "seconds": 2.0}, 20)
    rows = (run.folder / "metrics.csv").read_text().split()[1:]
    assert rows == ["10,loss,0.5", "10,seconds,1", "10,psnr,20", "20,loss,0.4", "20,seconds,2"]


def test_the_history_is_written_beside_every_tracker(tmp_path: Path) -> None:
    config = OmegaConf.create(
        {
            "seed": 0,
            "model": {"_target_": "a.b.Static"},
            "dataset": {"root": None},
            "chosen": {"groups": {}, "experiments": [], "overrides": []},
        }
    )
    where = (config, tmp_path, {}, {"coarse": 0, "fine": 10})
    assert open_trackers(None, *where, 0) == []
    assert [type(tracker) for tracker in open_trackers(CsvTracker(), *where, 0)] == [CsvTracker]
    first, second = open_trackers(RecordingTracker(), *where, 0)
    for step in (2, 4, 6):
        first.log_metrics({"coarse/loss": 1.0}, step)
    assert isinstance(first, CsvTracker) and second.run.already_logged == frozenset()
    again = open_trackers(RecordingTracker(), *where, 3)[1]
    assert again.run.already_logged == {(4, "coarse/loss"), (6, "coarse/loss")}
