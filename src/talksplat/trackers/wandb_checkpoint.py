"""`wandb://ENTITY/PROJECT/RUN[:VERSION]`: checkpoint of a tracked run, an artifact of Weights & Biases."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pooch

from talksplat.errors import UserError
from talksplat.trackers.wandb_server import LOGIN, is_logged_in, is_reachable, require_wandb, server

logger = logging.getLogger(__name__)

SCHEME = "wandb://"
FORM = "wandb://ENTITY/PROJECT/RUN or wandb://ENTITY/PROJECT/RUN:VERSION, VERSION such as v3, latest or a stage"
API_SECONDS = 30
VERSION = re.compile(r"v\d+")  # never changes, where aliases such as `latest` move on


@dataclass(frozen=True)
class Address:
    """Where a checkpoint is; `run` is the run's id or its name."""

    entity: str
    project: str
    run: str
    version: str

    def __str__(self) -> str:
        return f"{SCHEME}{self.entity}/{self.project}/{self.run}:{self.version}"

    @property
    def cached(self) -> Path:
        """Its place in the user's cache."""
        parts = ("wandb", self.entity, self.project, self.run, self.version, "last.ckpt")
        return pooch.os_cache("talksplat").joinpath(*parts)


def is_address(text: str | os.PathLike | None) -> bool:
    """Whether a checkpoint is named by such an address, not by a path."""
    return str(text).startswith(SCHEME)


def parse_address(text: str) -> Address:
    """Take an address apart. Raises UserError: it has another form."""
    found = re.fullmatch(r"wandb://([^/:]+)/([^/:]+)/([^/:]+?)(?::([^/:]+))?", text.strip())
    if found is None or {".", ".."} & set(found.groups()):
        raise UserError(f"checkpoint={text} is no address of a checkpoint: write {FORM}")
    return Address(found[1], found[2], found[3], found[4] or "latest")


def pin(text: str) -> str:
    """The address with the version that its alias names now, so that the same settings always mean the same weights.
    Downloads nothing, and asks no server for a version that is in the cache. Raises UserError: as
    `fetch_checkpoint`."""
    return str(_look_up(parse_address(text))[0])


def fetch_checkpoint(text: str) -> Path:
    """The file of an address in the user's cache, downloaded if it is not there yet. Raises UserError: malformed
    address, no wandb, login, network, such run, or checkpoint of it."""
    address, artifact = _look_up(parse_address(text))
    if not address.cached.is_file():
        _download(artifact, address)
    return address.cached


def _look_up(address: Address) -> tuple[Address, Any]:
    """The address with id and version, and its artifact; None where a version that never changes is in the cache."""
    if VERSION.fullmatch(address.version) and address.cached.is_file():
        return address, None
    with _plain_errors(address):
        require_wandb(f"checkpoint={address}")
        import wandb

        if not is_logged_in():
            raise UserError(f"checkpoint={address}: not logged in to {server()} (no API key): {LOGIN}")
        if not is_reachable():
            raise UserError(f"checkpoint={address}: no connection to {server()}; download it where there is a network")
        run = _run(wandb.Api(timeout=API_SECONDS), address)
        models = [artifact for artifact in run.logged_artifacts() if artifact.type == "model"]
    if not models:
        raise UserError(
            f"checkpoint={address}: that run has no checkpoint artifact; train with tracker.log_checkpoints=last"
        )
    for artifact in models:
        if address.version == artifact.version or address.version in artifact.aliases:
            found = replace(address, run=run.id, version=artifact.version)
            return parse_address(str(found)), artifact  # they become names of folders
    known = ", ".join(f"{artifact.version} ({', '.join(artifact.aliases)})" for artifact in models)
    raise UserError(f"checkpoint={address}: that run has no version {address.version!r}, but {known}")


def _run(api: Any, address: Address) -> Any:
    from wandb.apis.public import RunNotFoundError

    project = f"{address.entity}/{address.project}"
    try:
        return api.run(f"{project}/{address.run}")
    except RunNotFoundError:
        pass
    named = list(api.runs(project, filters={"display_name": address.run}))
    if len(named) == 1:
        return named[0]
    if named:
        ids = ", ".join(run.id for run in named)
        raise UserError(f"checkpoint={address}: {len(named)} runs of {project} have that name; give an id: {ids}")
    raise UserError(f"checkpoint={address}: {project} has no run with the id or name {address.run!r}")


def _download(artifact: Any, address: Address) -> None:
    """Into the cache, so that a broken download leaves nothing."""
    target = address.cached
    target.parent.mkdir(parents=True, exist_ok=True)
    logger.info("downloading %s", address)
    with TemporaryDirectory(dir=target.parent, prefix=".download-", ignore_cleanup_errors=True) as temporary:
        with _plain_errors(address):
            artifact.download(root=temporary)
        files = sorted(Path(temporary).rglob("*.ckpt"))
        if len(files) != 1:
            raise UserError(f"checkpoint={address}: that artifact holds {len(files)} checkpoints and not one")
        files[0].replace(target)


@contextmanager
def _plain_errors(address: Address) -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # its API raises errors of its own, of requests and of the service's protocol
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(f"checkpoint={address}: {server()} did not give it ({lines[0][:200]})") from error
