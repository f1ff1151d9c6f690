"""Whole runs under each tracker, and what is left of them."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch

from talksplat.checkpoint import read_checkpoint
from talksplat.config import compose
from talksplat.errors import Interrupted, UserError
from talksplat.rendering.request import overrides_of
from talksplat.rendering.run import render
from talksplat.trackers.base import Outcome
from talksplat.training.console import end_on_sigterm
from talksplat.training.folder import RunFolder
from talksplat.training.run import TrainingRun, train
from tests.helpers.runs import small_config
from tests.helpers.tiny_subject import AUDIO_WIDTH
from tests.helpers.wandb_file import OfflineRun, offline_parts
from tests.trackers.fake_api import FakeApi, FakeArtifact, FakeRun
from tests.trackers.recording import RecordingTracker


@pytest.fixture(scope="module")
def run_dir(tiny_subject: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run tracked by wandb without a server, as a job of a sweep."""
    folder = tmp_path_factory.mktemp("runs") / "a run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TALKSPLAT_SWEEP", "components_2026")
        patch.setenv("WANDB_SILENT", "true")
        patch.setenv("WANDB_DATA_DIR", str(folder.parent / "data"))
        patch.setenv("WANDB_CACHE_DIR", str(folder.parent / "cache"))
        settings = ("tracker=wandb", "tracker.offline=true", "tracker.tags=[mine]", "seed=3", "model=gaussiantalker")
        train(small_config(tiny_subject, *settings, "experiment=gaussiantalker/no_eye"), folder)
    return folder


@pytest.fixture(scope="module")
def offline(run_dir: Path) -> OfflineRun:
    (path,) = offline_parts(run_dir)
    return OfflineRun(path)


def test_what_the_run_is_called(offline: OfflineRun, run_dir: Path) -> None:
    assert offline.run.display_name.startswith("no_eye seed3")
    assert offline.run.run_group == "components_2026"
    assert offline.run.project == "talksplat"
    assert offline.run.run_id == (run_dir / "wandb_id.txt").read_text()
    assert {"gaussiantalker", "gaussiantalker/no_eye", "portrait", "smoke", "mine"} <= set(offline.run.tags)
    assert offline.exit_code == 0


def test_settings_are_values(offline: OfflineRun) -> None:
    assert offline.config["audio"]["extractor"]["num_mels"] == AUDIO_WIDTH, "nested"
    assert offline.config["audio"]["width"] == AUDIO_WIDTH, "resolved"
    assert "${" not in json.dumps(offline.config)
    assert "experiment=gaussiantalker/no_eye" in offline.config["chosen"]["overrides"]
    assert set(offline.config["origin"]) >= {"git", "host", "versions", "command"}


def test_each_stage_has_its_axis(offline: OfflineRun) -> None:
    axes = {metric.glob_name or metric.name: metric.step_metric for metric in offline.metrics}
    assert axes["coarse/*"] == "coarse/step" and axes["fine/*"] == "fine/step" and axes["seconds"] == "step"
    assert offline.axis("coarse/step")[-1] == 12 and offline.axis("fine/step")[-1] == 8
    for name in ("coarse/step", "fine/step", "step", "seconds"):
        assert offline.axis(name) == sorted(offline.axis(name)), name
    assert offline.axis("step")[-1] == 20


def test_it_tells_what_the_folder_tells(offline: OfflineRun, run_dir: Path) -> None:
    rows = [row.split(",") for row in (run_dir / "metrics.csv").read_text().splitlines()[1:]]
    told = {(row["step"], name): value for row in offline.history for name, value in row.items()}
    for step, name, value in rows:
        if name != "seconds":  # told twice where a preview falls on a row of the history
            assert told[int(step), name] == pytest.approx(float(value), rel=1e-6), (step, name)
    names = {name for _, name, _ in rows}
    assert {"seconds", "coarse/num_gaussians", "coarse/lr/means", "fine/images_per_second", "fine/loss"} <= names
    assert {"coarse/val_psnr_composite", "fine/val_psnr_composite"} <= names


def test_results_are_the_summary(offline: OfflineRun, run_dir: Path) -> None:
    metrics = json.loads((run_dir / "metrics.json").read_text())
    assert offline.summary["test/psnr"] == pytest.approx(metrics["mean"]["psnr"])
    assert offline.summary["train/psnr_head"] == pytest.approx(metrics["train"]["mean"]["psnr_head"])
    assert offline.summary["num_gaussians"] == metrics["num_gaussians"]
    assert "evaluation.lpips_net" in offline.summary["test/not_measured/lpips"]
    assert "test/lpips" not in offline.summary


def test_pictures_and_video(offline: OfflineRun, run_dir: Path) -> None:
    assert offline.axis("coarse/preview/path") and offline.axis("fine/preview/path")
    shown = cv2.imread(str(offline.files / offline.axis("fine/preview/path")[-1]))
    saved = cv2.imread(str(run_dir / "stages/02_fine/previews/step_000008.png"))
    assert (shown == saved).all()
    (video,) = offline.axis("test/render/path")
    assert (offline.files / video).read_bytes() == (run_dir / "test/render.mp4").read_bytes()
    assert (offline.files / offline.axis("test/grid/path")[0]).exists()


def test_last_checkpoints_are_artifacts(offline: OfflineRun) -> None:
    assert [set(artifact.aliases) for artifact in offline.artifacts] == [{"coarse", "latest"}, {"fine", "latest"}]
    assert {artifact.name for artifact in offline.artifacts} == {f"model-{offline.run.run_id}"}
    assert [entry.path for entry in offline.artifacts[-1].manifest.contents] == ["last.ckpt"]


def test_an_avatar_comes_back_from_its_artifact(
    run_dir: Path, tiny_subject: Path, key: None, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As weights of another run, and rendered, where a path is given otherwise."""
    artifact = FakeArtifact(run_dir / "last.ckpt", "v1", ["latest", "fine"])
    monkeypatch.setattr("wandb.Api", lambda timeout: FakeApi({"lab/heads/abc123": FakeRun("abc123", [artifact])}))
    monkeypatch.setattr("talksplat.trackers.wandb_checkpoint.is_reachable", lambda: True)
    address = "wandb://lab/heads/abc123"
    settings = (f"checkpoint={address}", "experiment=gaussiantalker/no_eye", "stage.order=[fine]")
    begun = TrainingRun(small_config(tiny_subject, *settings), tmp_path / "next")
    trained = read_checkpoint(run_dir)["state_dict"]
    for name, value in begun.model.state_dict().items():
        assert torch.equal(value, trained[f"model.{name}"]), name
    wanted = [f"checkpoint={address}:fine", "split=test", f"output={tmp_path}/test.mp4", "lpips_net=null", "device=cpu"]
    report = render(compose("render", overrides_of(wanted)))
    assert report.output.exists() and report.num_frames == 2
    assert artifact.downloads == 1


def test_tensorboard(tiny_subject: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(small_config(tiny_subject, "tracker=tensorboard", "stage.order=[coarse]"), tmp_path / "run")
    seen = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    assert [event.step for event in seen.Scalars("coarse/loss")] == [2, 4, 6, 8, 10, 12]
    assert "test/psnr" in seen.Tags()["scalars"]
    assert set(seen.Tags()["images"]) == {"coarse/preview", "test/grid"}
    assert (tmp_path / "run" / "metrics.csv").exists(), "the run's own record is written besides"


def test_not_installed(monkeypatch: pytest.MonkeyPatch, tiny_subject: Path, tmp_path: Path) -> None:
    monkeypatch.setattr("talksplat.trackers.tensorboard_tracker.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'talksplat\[tensorboard\]'"):
        train(small_config(tiny_subject, "tracker=tensorboard", "dry_run=true"), tmp_path / "run")


def test_a_run_without_login_ends_before_it_begins(tiny_subject: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="wandb login"):
        train(small_config(tiny_subject, "tracker=wandb"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_dry_run_tracks_nothing(tiny_subject: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wandb.init", lambda **settings: pytest.fail("a run was begun"))
    train(small_config(tiny_subject, "tracker=wandb", "tracker.offline=true", "dry_run=true"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def built(tiny_subject: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainingRun:
    return TrainingRun(small_config(tiny_subject), tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture
def recorded(built: TrainingRun, tmp_path: Path) -> TrainingRun:
    """A run that is ready to start, with a tracker that remembers."""
    built.folder = RunFolder(tmp_path / "run", built.config)
    built.tracker, built.trackers = RecordingTracker(), None
    return built


def interrupted_by_lightning(*arguments: Any) -> None:
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        raise SystemExit(1)  # noqa: B904 (what Lightning does)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (UserError("a loss is not finite"), Outcome.FAILED),
        (MemoryError(), Outcome.FAILED),
        (Interrupted("go on with resume=true"), Outcome.INTERRUPTED),
        (KeyboardInterrupt(), Outcome.INTERRUPTED),
        (signal.SIGTERM, Outcome.FAILED),
        (interrupted_by_lightning, Outcome.INTERRUPTED),
    ],
)
def test_outcome(error: Any, outcome: Outcome, recorded: TrainingRun, monkeypatch: pytest.MonkeyPatch) -> None:
    def end(run: TrainingRun, place: Any) -> None:
        run.open_tracker(0)
        if error is signal.SIGTERM:
            os.kill(os.getpid(), signal.SIGTERM)
        elif callable(error):
            error()
        else:
            raise error

    monkeypatch.setattr("talksplat.training.run.fit_stage", end)
    with pytest.raises(BaseException) as raised:
        recorded.run()
    assert recorded.tracker.outcome == outcome
    if error is signal.SIGTERM:
        assert raised.value.code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_another_handler_of_sigterm_is_left_alone() -> None:
    def handler(number: int, frame: Any) -> None: ...

    before = signal.signal(signal.SIGTERM, handler)
    try:
        with end_on_sigterm():
            assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, before)
