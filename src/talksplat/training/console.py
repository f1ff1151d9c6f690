"""Console of a run: log messages, library warnings, signals."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from talksplat.errors import Interrupted, Pruned
from talksplat.trackers.base import Outcome

logger = logging.getLogger(__name__)


def log_to_console() -> None:
    """Plain messages on standard output, for commands that Hydra does not start."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout, force=True)


def quiet_libraries() -> None:
    """Lightning's hints about data loaders and logging do not apply here and would hide what matters."""
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    texts = ["does not have many workers", "ended before the epoch ended", "LeafSpec", "in eval mode at the start"]
    for text in (f".*{words}.*" for words in texts):
        warnings.filterwarnings("ignore", message=text)


@contextmanager
def end_on_sigterm() -> Iterator[None]:
    """While this lasts, SIGTERM ends the process by an exception, so that files are closed and a tracked run is marked as failed.

    Another handler, such as that of a cluster's launcher, is kept.
    """
    known = signal.getsignal(signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread() or known != signal.SIG_DFL:
        yield
        return

    def end(number, frame) -> None:
        logger.warning("terminated (SIGTERM)")
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, known)


@contextmanager
def stop_between_steps(stop: Callable[[], None]) -> Iterator[None]:
    """While this lasts, the first Ctrl-C or SIGTERM calls `stop`, which ends the fit after the current step, so that the
    checkpoint is complete; a second one interrupts at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def answer(number, frame) -> None:
        logger.warning("stopping after this step; press Ctrl-C again to stop at once, without saving")
        restore()
        stop()

    for number in before:
        signal.signal(number, answer)
    try:
        yield
    finally:
        restore()


def outcome_of(error: BaseException) -> Outcome:
    """Interrupted if the user pressed Ctrl-C or a search pruned the run; Lightning turns a second Ctrl-C into SystemExit."""
    stopped = (Interrupted, Pruned, KeyboardInterrupt)
    interrupted = isinstance(error, stopped) or isinstance(error.__context__, KeyboardInterrupt)
    return Outcome.INTERRUPTED if interrupted else Outcome.FAILED
