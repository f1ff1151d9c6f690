"""Starts the workers of a run on this machine, notices when one of them ends too early, and ends them all."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch
import torch.distributed as dist

from talksplat.errors import UserError
from talksplat.parallel.distributed import HOST, TIMEOUT, close_group, open_group

logger = logging.getLogger(__name__)
MODULE = "talksplat.training.worker"  # what the workers run
GRACE = 30.0  # seconds that this process may still take over its own error once a worker has failed
FAREWELL = 60.0  # seconds that workers may take to end after the last step


class LocalLauncher:
    """Context in which the processes of a run train together: this one, of rank 0, and its workers.

    A worker gets the checked configuration on its standard input, so that nothing is composed again, and its output goes to
    `RUN/processes/`. It ends by itself when the first process is gone.

    Args:
        run_dir: the run folder.
        config: resolved YAML text.
        world: number of processes, this one included; 1: no workers.
        device: that of this process.
    """

    def __init__(self, run_dir: Path, config: str, world: int, device: torch.device) -> None:
        self.run_dir, self.config, self.world, self.device = run_dir, config, world, device
        self.processes: dict[int, subprocess.Popen] = {}
        self._over = threading.Event()

    def __enter__(self) -> LocalLauncher:
        if self.world > 1:
            try:
                self._start()
            except BaseException:
                self._end()
                raise
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: object) -> None:
        if self.world == 1:
            return
        # Without the other one, this process's own error is a closed connection; the reason is in the other's log.
        lost = isinstance(error, Exception) and not isinstance(error, UserError)
        reason = self._failure(wait=5.0 if lost else 0.0)
        try:
            if error is None:
                close_group()
                deadline = time.monotonic() + FAREWELL
                for process in self.processes.values():
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(max(0.0, deadline - time.monotonic()))
        finally:
            self._end()
        if lost and reason is not None:
            raise UserError(reason) from error

    def _start(self) -> None:
        store = dist.TCPStore(HOST, 0, self.world, is_master=True, timeout=TIMEOUT, wait_for_workers=False)
        self._log(0).parent.mkdir(exist_ok=True)
        for rank in range(1, self.world):
            self._start_worker(rank, store.port)
        logger.info("%d processes train together; logs of the others: %s", self.world, self._log(0).parent)
        while not store.check([ready_key(rank) for rank in self.processes]):
            reason = self._failure()
            if reason is not None:
                raise UserError(reason)
            time.sleep(0.05)
        open_group(store, 0, self.world, self.device)
        threading.Thread(target=self._watch, daemon=True).start()

    def _start_worker(self, rank: int, port: int) -> None:
        arguments = map(str, (self.run_dir, rank, self.world, port, os.getpid()))
        with open(self._log(rank), "ab") as log:
            self.processes[rank] = process = subprocess.Popen(
                module_command(MODULE, *arguments),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                # The same imports as here, wherever this process found them.
                env=os.environ | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)},
            )
        with suppress(BrokenPipeError):  # it ended already, which `_start` notices
            process.stdin.write(self.config.encode())
            process.stdin.close()

    def _watch(self) -> None:
        """A process that waits on a GPU for one that is gone would wait until the time limit of the group."""
        while not self._over.wait(0.5):
            reason = self._failure()
            if reason is not None and not self._over.wait(GRACE):
                logger.error("error: %s", reason)
                self._kill()
                os._exit(1)

    def _failure(self, wait: float = 0.0) -> str | None:
        """Why workers ended that should not have; `wait`: seconds that they may still need to end."""
        deadline = time.monotonic() + wait
        while True:
            failed = [rank for rank, process in self.processes.items() if process.poll()]
            if failed or time.monotonic() >= deadline:
                return "; ".join(map(self._reason, failed)) or None
            time.sleep(0.05)

    def _reason(self, rank: int) -> str:
        status = self.processes[rank].returncode
        lines = [line.strip() for line in self._log(rank).read_text(errors="replace").splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("error: ")]
        last = re.sub(r"^(error|\[rank\d+\]): ", "", (errors or lines or ["no output"])[-1])
        if status < 0:
            last = f"killed by signal {-status}" + (", perhaps out of memory" if status == -9 else "")
        return f"process {rank} of {self.world} failed: {last} (log: {self._log(rank)})"

    def _end(self) -> None:
        self._kill()
        close_group()
        self._over.set()

    def _kill(self) -> None:
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            process.wait()

    def _log(self, rank: int) -> Path:
        return self.run_dir / "processes" / f"rank_{rank}.log"


def module_command(module: str, *arguments: str) -> list[str]:
    """Command line that runs a module, with imports from where this process has them first. `-m` would look into the working
    directory, which a sweep's file names: what lies there may be anybody's."""
    place = os.path.abspath(sys.path[0])
    start = (
        f"import runpy, sys; sys.path[0] = {place!r}; runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
    )
    return [sys.executable, "-c", start, *arguments]


def ready_key(rank: int) -> str:
    """Key that a worker enters into the store once it has built everything."""
    return f"ready/{rank}"


def on_parent_exit(parent: int, action: Callable[[], None]) -> None:
    """Call `action`, in a thread, once the parent process is gone: one that was killed could not say so."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.2)
        action()

    threading.Thread(target=watch, daemon=True).start()
