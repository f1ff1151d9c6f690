"""Whether Weights & Biases can be used from here: package, login, network."""

from __future__ import annotations

import socket
from importlib.util import find_spec
from urllib.parse import urlsplit
from urllib.request import getproxies

from talksplat.errors import UserError

CONNECT_SECONDS = 3.0
LOGIN = "run `wandb login`, or set WANDB_API_KEY"


def require_wandb(purpose: str) -> None:
    """Check that the package is there. Raises UserError: it is not."""
    if find_spec("wandb") is None:
        raise UserError(f"{purpose} needs the package wandb: pip install wandb")


def server() -> str:
    """Address of the server, from WANDB_BASE_URL or wandb's settings."""
    from wandb.sdk import wandb_setup

    return str(wandb_setup.singleton().settings.base_url)


def is_logged_in() -> bool:
    """Whether there is a key for the server, in the environment, .netrc or wandb's settings; asks nobody and no
    network. Raises UserError: a key that cannot be one."""
    from wandb.errors import AuthenticationError
    from wandb.sdk.lib import wbauth

    # `wandb.login` would ask the server, and wait long for one that does not answer.
    try:
        return (
            wbauth.authenticate_session(host=server(), source="talksplat", prompt=False, update_session=False)
            is not None
        )
    except AuthenticationError as error:
        raise UserError(f"the wandb login is not usable ({error}): {LOGIN}") from error


def is_reachable(seconds: float = CONNECT_SECONDS) -> bool:
    """Whether the server accepts a connection; behind a proxy that is not tried."""
    parts = urlsplit(server())
    if parts.scheme in getproxies():
        return True
    try:
        socket.create_connection(
            (parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)), seconds
        ).close()
    except OSError:
        return False
    return True
