"""Compilation, cache and execution of the kernels: flags, cache folder, threading layer, thread count."""

from __future__ import annotations

import logging
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numba
import torch
from numba import njit

from talksplat.errors import UserError

logger = logging.getLogger(__name__)

# Sums must be reordered to be vectorised (backward 6 times faster), but NaN and infinity keep their meaning.
FASTMATH = {"contract", "reassoc", "nsz", "arcp", "afn"}

# Python's check for division by zero would leave the pixel loop, which blocks vectorisation too.
function = njit(fastmath=FASTMATH, error_model="numpy")
serial_kernel = njit(fastmath=FASTMATH, error_model="numpy", cache=True, nogil=True)
parallel_kernel = njit(fastmath=FASTMATH, error_model="numpy", cache=True, nogil=True, parallel=True)

# Numba's built-in "workqueue" layer aborts the process when two Python threads launch kernels at once.
_launch_lock = threading.Lock()


def choose_cache_folder(package: Path) -> None:
    """Keep compiled kernels in a user folder where the package's own folder is read-only (unless the user set one)."""
    if os.environ.get("NUMBA_CACHE_DIR") or os.access(package, os.W_OK):
        return
    user_cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = user_cache / "talksplat" / "numba"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        folder = Path(tempfile.gettempdir()) / f"talksplat-numba-{os.getuid() if hasattr(os, 'getuid') else 'user'}"
    numba.config.CACHE_DIR = str(folder)


def prefer_openmp() -> None:
    """Try OpenMP first, then TBB (a launch takes microseconds in both), unless the user chose."""
    chosen = ("NUMBA_THREADING_LAYER", "NUMBA_THREADING_LAYER_PRIORITY")
    if not any(os.environ.get(name) for name in chosen):
        numba.config.THREADING_LAYER_PRIORITY = ["omp", "tbb", "workqueue"]


def start_thread_pool() -> None:
    """Start numba's threads and log their layer. Torch keeps its thread count, which OpenMP would reset."""
    torch_threads = torch.get_num_threads()
    available = numba.get_num_threads()  # starts the pool
    torch.set_num_threads(torch_threads)
    layer = numba.threading_layer()
    logger.info("numba rasteriser: threading layer %s, up to %d threads", layer, available)
    if layer == "workqueue":
        logger.warning(
            "numba runs on its built-in thread pool, which can be twice as slow next to torch: "
            "install OpenMP (Debian/Ubuntu: apt install libgomp1) or tbb (pip install tbb)"
        )


@contextmanager
def launch(threads: int | None) -> Iterator[int]:
    """Hold the kernels for one caller and yield the number of threads to use: `threads`, or as many as torch uses."""
    count = min(threads or torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS)
    with _launch_lock:
        before = numba.get_num_threads()
        numba.set_num_threads(count)
        try:
            yield count
        finally:
            numba.set_num_threads(before)


def check_threads(threads: int | None) -> None:
    """Raise `UserError` unless `threads` is None or at least 1."""
    if threads is not None and threads < 1:
        raise UserError(f"the rasteriser's setting threads must be at least 1 or null, not {threads}")


choose_cache_folder(Path(__file__).parent)
prefer_openmp()
