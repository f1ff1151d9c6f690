"""Checkpoints of tracked runs, from a stand-in for wandb's API that serves files of this disk."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from talksplat.checkpoint import read_checkpoint
from talksplat.config import compose
from talksplat.errors import UserError
from talksplat.trackers.wandb_checkpoint import fetch_checkpoint, parse_address, pin
from tests.trackers.fake_api import FakeApi, FakeArtifact, FakeRun

RUN = "wandb://lab/heads/abc123"


@pytest.fixture(scope="module")
def checkpoint_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("server") / "last.ckpt"
    torch.save({"talksplat": {"format": 2, "stage": "fine"}, "state_dict": {"a": torch.arange(3)}}, path)
    return path


@pytest.fixture
def api(key: None, cache: Path, checkpoint_file: Path, monkeypatch: pytest.MonkeyPatch) -> FakeApi:
    table = FakeArtifact(checkpoint_file, "v0", ["latest"], type="table")
    coarse = FakeArtifact(checkpoint_file, "v0", ["coarse"])
    fine = FakeArtifact(checkpoint_file, "v1", ["latest", "fine"])
    run = FakeRun("abc123", [table, coarse, fine])
    twins = [FakeRun("t1", []), FakeRun("t2", [])]
    found = FakeApi({"lab/heads/abc123": run, "lab/heads/bare": FakeRun("bare", [table])})
    found.by_name = {"no_ppe seed1": [run], "twin": twins}
    monkeypatch.setattr("wandb.Api", lambda timeout: found)
    monkeypatch.setattr("talksplat.trackers.wandb_checkpoint.is_reachable", lambda: True)
    return found


def test_read_through_the_cache(api: FakeApi, cache: Path) -> None:
    assert read_checkpoint(RUN)["talksplat"]["stage"] == "fine"
    assert fetch_checkpoint(f"{RUN}:v1") == cache / "wandb/lab/heads/abc123/v1/last.ckpt"
    assert fetch_checkpoint(f"{RUN}:fine") == fetch_checkpoint(f"{RUN}:latest") == fetch_checkpoint(f"{RUN}:v1")
    assert fetch_checkpoint("wandb://lab/heads/no_ppe seed1") == fetch_checkpoint(RUN)
    assert fetch_checkpoint(f"{RUN}:coarse").parent.name == "v0"
    assert [artifact.downloads for artifact in api.by_path["lab/heads/abc123"].artifacts] == [0, 1, 1]


def test_a_known_version_needs_no_network(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    path = fetch_checkpoint(f"{RUN}:v1")
    monkeypatch.setattr("talksplat.trackers.wandb_checkpoint.is_reachable", lambda: False)
    monkeypatch.delenv("WANDB_API_KEY")
    assert fetch_checkpoint(f"{RUN}:v1") == path


def test_a_run_is_pinned_to_the_version_it_began_with(api: FakeApi) -> None:
    assert pin(RUN) == pin(f"{RUN}:fine") == f"{RUN}:v1"
    assert compose("train", [f"checkpoint={RUN}"]).checkpoint == f"{RUN}:v1"
    newer = FakeArtifact(api.by_path["lab/heads/abc123"].artifacts[0].source, "v2", ["latest"])
    api.by_path["lab/heads/abc123"].artifacts[-1].aliases.remove("latest")
    api.by_path["lab/heads/abc123"].artifacts.append(newer)
    assert compose("train", [f"checkpoint={RUN}:latest"]).checkpoint == f"{RUN}:v2"
    assert compose("train", [f"checkpoint={RUN}:v1"]).checkpoint == f"{RUN}:v1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("wandb://lab/heads", "is no address.*wandb://ENTITY/PROJECT/RUN"),
        ("wandb://lab/heads/abc123/last.ckpt", "is no address"),
        ("wandb://lab/heads/abc123:", "is no address"),
        ("wandb://lab/heads/..", "is no address"),
        ("wandb://lab/heads/nobody", "no run with the id or name 'nobody'"),
        ("wandb://lab/heads/twin", "2 runs of lab/heads have that name; give an id: t1, t2"),
        ("wandb://lab/heads/bare", "no checkpoint artifact; train with tracker.log_checkpoints"),
        (f"{RUN}:v7", r"no version 'v7', but v0 \(coarse\), v1 \(latest, fine\)"),
    ],
)
def test_bad_address(text: str, message: str, api: FakeApi) -> None:
    with pytest.raises(UserError, match=message):
        fetch_checkpoint(text)


def test_a_bad_address_is_found_with_the_settings(api: FakeApi, cache: Path) -> None:
    with pytest.raises(UserError, match="no run with the id or name 'nobody'"):
        compose("train", ["checkpoint=wandb://lab/heads/nobody"])
    with pytest.raises(UserError, match="no version 'v7'"):
        compose("train", [f"checkpoint={RUN}:v7"])
    compose("train", [f"checkpoint={RUN}:v1"])
    assert not list(cache.rglob("*.ckpt")), "composing downloads nothing"


def test_a_broken_download_leaves_nothing(api: FakeApi, cache: Path) -> None:
    artifact = api.by_path["lab/heads/abc123"].artifacts[-1]
    artifact.breaks = True
    with pytest.raises(UserError, match="did not give it .*reset by peer"):
        fetch_checkpoint(RUN)
    assert not [path for path in cache.rglob("*") if path.is_file()]
    artifact.breaks = False
    assert read_checkpoint(RUN)["talksplat"]["stage"] == "fine"


def test_not_installed(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("talksplat.trackers.wandb_server.find_spec", lambda name: None)
    with pytest.raises(UserError, match="needs the package wandb"):
        fetch_checkpoint(RUN)


def test_not_logged_in(cache: Path) -> None:
    with pytest.raises(UserError, match="not logged in to http://127.0.0.1.*wandb login"):
        fetch_checkpoint(RUN)


def test_no_network(key: None, cache: Path) -> None:
    with pytest.raises(UserError, match="no connection to http://127.0.0.1"):
        read_checkpoint(RUN)


def test_address() -> None:
    assert str(parse_address("wandb://a/b/c")) == "wandb://a/b/c:latest"
    assert parse_address("wandb://a/b/c d:fine").run == "c d"
