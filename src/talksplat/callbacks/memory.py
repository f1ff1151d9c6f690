"""Memory that a process has needed."""

from __future__ import annotations

import sys

import torch


def peak_memory_gib() -> float | None:
    """Most that was in use at once, in GiB: on the GPU where this process uses one, otherwise of the process itself; None
    where the system does not tell."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated() / 2**30
    try:
        import resource
    except ImportError:  # no POSIX
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2 ** (30 if sys.platform == "darwin" else 20)
