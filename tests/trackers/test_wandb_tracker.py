"""Weights & Biases without a server: what is checked before training, and what a dead network does."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import pytest

from talksplat.errors import UserError
from talksplat.trackers.base import Outcome, TrackedRun
from talksplat.trackers.wandb_tracker import WandbTracker
from tests.helpers.wandb_file import OfflineRun, offline_parts


def tracked(folder: Path, **named: Any) -> TrackedRun:
    defaults = {"name": "a seed0", "tags": (), "group": None, "config": {}, "origin": {}, "stages": {"coarse": 0}}
    return TrackedRun(folder, **{**defaults, **named})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mode": "onlin"}, "tracker.mode=onlin must be"),
        ({"mode": "online", "offline": True}, "contradict"),
        ({"log_checkpoints": "some"}, "tracker.log_checkpoints=some must be none, last, all"),
        ({"init_timeout": 0}, "must be positive"),
    ],
)
def test_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        WandbTracker(**settings)


def test_without_login(wandb_alone: str) -> None:
    with pytest.raises(UserError, match=f"not logged in to {wandb_alone}.*wandb login.*tracker.offline=true"):
        WandbTracker().check()
    WandbTracker(offline=True).check()
    WandbTracker(mode="disabled").check()


def test_with_login(key: None) -> None:
    WandbTracker().check()


def test_with_a_key_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "short")
    with pytest.raises(UserError, match="not usable.*wandb login") as error:
        WandbTracker().check()
    assert "short" not in str(error.value).replace("too short", ""), "keys are never printed"


def test_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("talksplat.trackers.wandb_server.find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install wandb"):
        WandbTracker().check()


def test_no_network_goes_on_offline(
    tmp_path: Path, key: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And a resumed run tells the rest: with the same id, and no row twice."""
    import wandb

    real, modes = wandb.init, []
    monkeypatch.setattr(wandb, "init", lambda **settings: (modes.append(settings["mode"]), real(**settings))[1])
    tracker = WandbTracker(log_checkpoints="none")
    with caplog.at_level(logging.INFO):
        tracker.open(tracked(tmp_path))
        for step in (2, 4):
            tracker.log_metrics({"coarse/loss": 1.0}, step)
        tracker.finish(Outcome.INTERRUPTED)
    assert modes == ["offline"], "a server that is not there is not waited for"
    assert "no connection to http://127.0.0.1" in caplog.text
    assert f"wandb sync {tmp_path}/wandb/offline-run-*-" in caplog.text
    time.sleep(1.1)  # folders are named by the second
    already_logged = frozenset({(4, "coarse/loss")})
    tracker.open(tracked(tmp_path, resume_step=2, already_logged=already_logged))
    for step in (4, 6):
        tracker.log_metrics({"coarse/loss": 1.0}, step)
        tracker.log_picture("coarse/preview", tmp_path / "gone.png", step)
    assert "wandb failed at a picture" in caplog.text, "a tracker's failure is no failure of the run"
    tracker.finish(Outcome.FINISHED)
    first, second = map(OfflineRun, offline_parts(tmp_path))
    assert first.run.run_id == second.run.run_id == (tmp_path / "wandb_id.txt").read_text()
    assert first.exit_code == 255
    assert first.axis("coarse/step") + second.axis("coarse/step") == [2, 4, 6]


def test_a_server_that_does_not_answer(
    tmp_path: Path, key: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import wandb

    real, modes = wandb.init, []

    def init(**settings: Any) -> Any:
        modes.append(settings["mode"])
        if settings["mode"] == "online":
            raise wandb.errors.CommError("Run initialization has timed out after 60.0 sec.\nPlease try again")
        return real(**settings)

    monkeypatch.setattr(wandb, "init", init)
    monkeypatch.setattr("talksplat.trackers.wandb_tracker.is_reachable", lambda: True)
    tracker = WandbTracker()
    tracker.open(tracked(tmp_path))
    tracker.finish(Outcome.FAILED)
    assert modes == ["online", "offline"]
    assert "timed out after 60.0 sec.; the run is tracked offline" in caplog.text
    assert [OfflineRun(path).exit_code for path in offline_parts(tmp_path)] == [1]


def test_a_wandb_that_cannot_even_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import wandb

    def init(**settings: Any) -> Any:
        raise OSError("disk full")

    monkeypatch.setattr(wandb, "init", init)
    tracker = WandbTracker(offline=True)
    tracker.open(tracked(tmp_path))
    tracker.log_metrics({"coarse/loss": 1.0}, 2)
    tracker.finish(Outcome.FINISHED)
    assert caplog.text.count("disk full") == 1
