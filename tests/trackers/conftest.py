"""wandb as on a machine where nobody has logged in, and that no test leaves for the internet."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def wandb_alone(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Its folders are temporary, its server a port of this machine where nobody listens; gives its address."""
    wandb = pytest.importorskip("wandb")
    home = tmp_path_factory.mktemp("home")
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_IDENTITY_TOKEN_FILE", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("CONFIG", "CACHE", "DATA"):
        monkeypatch.setenv(f"WANDB_{name}_DIR", str(home / name.lower()))
    monkeypatch.setenv("NETRC", str(home / "netrc"))
    monkeypatch.setenv("WANDB_SILENT", "true")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # so that no other process listens there either
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setenv("WANDB_BASE_URL", address)
        wandb.teardown()  # forgets the settings read before
        yield address
        wandb.teardown()


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """A login that has the form of one."""
    monkeypatch.setenv("WANDB_API_KEY", "0123456789" * 4)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache, empty."""
    monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path / "cache" / project)
    return tmp_path / "cache" / "talksplat"
