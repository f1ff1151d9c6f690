"""Begins the tracking of a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from talksplat.trackers.base import TrackedRun, Tracker
from talksplat.trackers.csv_tracker import CsvTracker, read_rows
from talksplat.trackers.naming import run_name, run_tags, sweep_name

ORIGIN = ("command", "git", "host", "platform", "python", "gpu", "versions", "talksplat")  # of run_info.json


def open_trackers(
    tracker: Tracker | None,
    config: DictConfig,
    folder: Path,
    info: Mapping[str, Any],
    stages: Mapping[str, int],
    step: int,
) -> list[Tracker]:
    """The history in the run folder, which every tracked run has, and the configured tracker.

    Args:
        tracker: None: nothing is tracked.
        config: resolved configuration of the run.
        info: content of run_info.json.
        stages: steps before each stage.
        step: at which the run begins or resumes.
    """
    if tracker is None:
        return []
    rows = read_rows(folder / "metrics.csv")
    run = TrackedRun(
        folder=folder,
        name=run_name(config),
        tags=run_tags(config),
        group=sweep_name(),
        config=OmegaConf.to_container(config, resolve=True),
        origin={name: info[name] for name in ORIGIN if name in info},
        stages=stages,
        resume_step=step,
        already_logged=frozenset((int(row["step"]), row["name"]) for row in rows if int(row["step"]) > step),
    )
    trackers = [tracker] if isinstance(tracker, CsvTracker) else [CsvTracker(), tracker]
    for one in trackers:
        one.open(run)
    return trackers
