"""Runs one job of a sweep in a process of its own and notes what became of it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from omegaconf import DictConfig

from talksplat.errors import UserError
from talksplat.files import now
from talksplat.sweep.folder import SweepFolder
from talksplat.sweep.state import (
    DONE,
    ENDED,
    EXIT_INTERRUPTED,
    EXIT_PRUNED,
    FAILED,
    INTERRUPTED,
    PARENT_VARIABLE,
    PRUNED,
    RUNNING,
    SUPERVISOR_LOCK,
    JobState,
    holding,
    read_state,
    write_state,
)

SWEEP_VARIABLE = "TALKSPLAT_SWEEP"  # name of the sweep's folder, for trackers that group runs
INTERRUPTS = (EXIT_INTERRUPTED, -signal.SIGINT, -signal.SIGTERM, 128 + signal.SIGINT)
ERROR_BYTES = 4000  # end of a log in which its last line is looked for


class Supervisor:
    """Starts a job, waits for it, and notes its end; whatever happens to the job, nothing is raised.

    Args:
        folder: of the sweep.
        job: name of the job.
        cwd: where the job's relative paths count from.
        environment: variables beside those of this process.
    """

    def __init__(self, folder: SweepFolder, job: str, cwd: str, environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.job = job
        self.cwd = cwd
        self.environment = dict(environment or {})
        self.process: subprocess.Popen | None = None
        self._asked = 0  # times that it was asked to stop

    def run(self) -> JobState:
        """Work on the job unless it has ended already."""
        run_dir = self.folder.job_dir(self.job)
        with holding(run_dir, SUPERVISOR_LOCK, lambda: self._asked > 0) as held:
            before = read_state(run_dir)
            if not held or before.state in ENDED or self._asked:
                return before
            began = time.perf_counter()
            state = JobState(
                state=RUNNING,
                attempts=before.attempts + 1,
                seconds=before.seconds,
                started=now(),
                host=socket.gethostname(),
                gpu=self.environment.get("CUDA_VISIBLE_DEVICES", os.environ.get("CUDA_VISIBLE_DEVICES")),
            )
            try:
                verdict = _verdict(self._run_process(run_dir, state), self.folder.log(self.job))
            except (OSError, UserError) as error:  # no such folder there, no memory for a process, a full disk
                verdict = {"state": FAILED, "error": f"cannot start its process: {error}"}
            seconds = (before.seconds or 0.0) + time.perf_counter() - began
            state = replace(read_state(run_dir), ended=now(), seconds=seconds, **verdict)
            write_state(run_dir, state)
            return state

    def interrupt(self) -> None:
        """Ask the job to stop after the step in hand; asked again, it stops at once; asked a third time, it is killed."""
        self._asked += 1
        if self.process is not None and self.process.poll() is None:
            if self._asked < 3:
                self.process.send_signal(signal.SIGINT)
            else:  # the job has a session of its own, with whatever processes it started
                os.killpg(self.process.pid, signal.SIGKILL)

    def _run_process(self, run_dir: Path, state: JobState) -> int:
        variables = {SWEEP_VARIABLE: self.folder.path.name, PARENT_VARIABLE: str(os.getpid()), "PYTHONUNBUFFERED": "1"}
        environment = os.environ | self.environment | variables
        write_state(run_dir, state)
        with open(self.folder.log(self.job), "ab") as log:
            log.write(f"--- attempt {state.attempts}, {state.started}, {state.host}\n".encode())
            log.flush()
            # A session of its own: Ctrl-C on the console reaches the sweep alone, which hands it on once.
            self.process = subprocess.Popen(
                job_command(self.folder.path, self.job),
                cwd=self.cwd,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            write_state(run_dir, replace(state, pid=self.process.pid))
            if self._asked:
                self.process.send_signal(signal.SIGINT)
            return self.process.wait()


def job_command(folder: Path, job: str) -> list[str]:
    """Command line of a job's process."""
    return [sys.executable, "-m", "talksplat.sweep.job", str(folder), job]


def _verdict(code: int, log: Path) -> dict[str, str | None]:
    if code == 0:
        return {"state": DONE, "error": None}
    if code in INTERRUPTS:
        return {"state": INTERRUPTED, "error": last_line(log)}
    if code == EXIT_PRUNED:
        return {"state": PRUNED, "error": last_line(log)}
    if code < 0:
        name = signal.Signals(-code).name
        hint = ": out of memory?" if code == -signal.SIGKILL else ""
        return {"state": FAILED, "error": f"ended by {name}{hint}"}
    return {"state": FAILED, "error": last_line(log)}


def last_line(log: Path) -> str:
    """Last line that a job printed: of a traceback, the one that says what it was."""
    with open(log, "rb") as file:
        file.seek(max(log.stat().st_size - ERROR_BYTES, 0))
        lines = file.read().decode(errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "").removeprefix("error: ")


def run_in_worker(config: DictConfig) -> str:
    """What a launcher of Hydra calls on whatever machine it chose: `config` is `conf/sweep_job.yaml` with the job's name."""
    folder = SweepFolder(Path(config.folder))
    return Supervisor(folder, config.job, folder.read_plan().cwd).run().state
