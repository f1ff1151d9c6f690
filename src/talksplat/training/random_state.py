"""States of torch's random generators, for checkpoints, and numbers that all processes of a run draw alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

PROCESS_STRIDE = 1_000_003  # between the seeds of a run's processes, so that they drop other features out


def seed_of(seed: int, rank: int) -> int:
    """Seed of a process; the first one has that of a run of one process."""
    return (seed + PROCESS_STRIDE * rank) % 2**32


def random_state() -> dict[str, torch.Tensor]:
    """State of torch's generators on the CPU and each GPU."""
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state |= {f"cuda{index}": value for index, value in enumerate(torch.cuda.get_rng_state_all())}
    return state


def restore_random_state(state: dict[str, torch.Tensor]) -> None:
    """Inverse of `random_state`; generators of GPUs that are not here are skipped."""
    torch.set_rng_state(state["cpu"].cpu())
    for index in range(torch.cuda.device_count()):
        if f"cuda{index}" in state:
            torch.cuda.set_rng_state(state[f"cuda{index}"].cpu(), index)


@contextmanager
def drawn_alike(seed: int, step: int, device: torch.device) -> Iterator[None]:
    """Random numbers inside depend on seed and step only, not on the process or on earlier random numbers."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed((seed * 0x9E3779B1 + step * 0x85EBCA77) % 2**63)
        yield
