"""Runs one job of a sweep in a process of its own and notes its end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from dataclasses import replace
from pathlib import Path

from omegaconf import DictConfig

from talksplat.errors import UserError
from talksplat.files import now
from talksplat.parallel.launcher import module_command
from talksplat.sweep.folder import SweepFolder
from talksplat.sweep.state import (
    DONE,
    ENDED,
    EXIT_CODES,
    FAILED,
    INTERRUPTED,
    RUNNING,
    SUPERVISOR_LOCK,
    JobState,
    holding,
    read_state,
    write_state,
)
from talksplat.trackers.naming import SWEEP_VARIABLE

PARENT_VARIABLE = "TALKSPLAT_SUPERVISOR"  # process id of a job's supervisor
VERDICTS = {code: state for state, code in EXIT_CODES.items()}
VERDICTS |= dict.fromkeys((-signal.SIGINT, -signal.SIGTERM, 128 + signal.SIGINT), INTERRUPTED)
ERROR_BYTES = 4000  # end of a log in which its last line is looked for


class Supervisor:
    """Starts a job, waits for it, and notes its end; whatever happens to the job, nothing is raised."""

    def __init__(self, folder: SweepFolder, job: str, cwd: str) -> None:
        self.folder, self.job, self.cwd = folder, job, cwd
        self.environment: dict[str, str] = {}  # variables in addition to those of this process
        self.process: subprocess.Popen | None = None
        self._interrupts = 0

    def run(self) -> JobState:
        """Work on the job unless it has ended already."""
        run_dir = self.folder.job_dir(self.job)
        with holding(run_dir, SUPERVISOR_LOCK, lambda: self._interrupts > 0) as held:
            before = read_state(run_dir)
            if not held or before.state in ENDED or self._interrupts:
                return before
            began = time.perf_counter()
            gpu = self.environment.get("CUDA_VISIBLE_DEVICES", os.environ.get("CUDA_VISIBLE_DEVICES"))
            state = JobState(RUNNING, before.attempts + 1, before.seconds, now(), host=socket.gethostname(), gpu=gpu)
            try:
                verdict, error = _verdict(self._run_process(run_dir, state), self.folder.log(self.job))
            except (OSError, UserError) as failure:  # no such folder there, no memory for a process, a full disk
                verdict, error = FAILED, f"cannot start its process: {failure}"
            seconds = (before.seconds or 0.0) + time.perf_counter() - began
            state = replace(read_state(run_dir), ended=now(), seconds=seconds, state=verdict, error=error)
            write_state(run_dir, state)
            return state

    def interrupt(self) -> None:
        """Ask the job to stop after the current step; asked again, it stops at once; asked a third time, it is killed."""
        self._interrupts += 1
        if self.process is not None and self.process.poll() is None:
            if self._interrupts < 3:
                self.process.send_signal(signal.SIGINT)
            else:  # the job has a session of its own, with whatever processes it started
                os.killpg(self.process.pid, signal.SIGKILL)

    def _run_process(self, run_dir: Path, state: JobState) -> int:
        variables = {SWEEP_VARIABLE: self.folder.path.name, PARENT_VARIABLE: str(os.getpid()), "PYTHONUNBUFFERED": "1"}
        write_state(run_dir, state)
        with open(self.folder.log(self.job), "ab") as log:
            log.write(f"--- attempt {state.attempts}, {state.started}, {state.host}\n".encode())
            log.flush()
            # A session of its own: Ctrl-C on the console reaches the sweep alone, which forwards it once.
            self.process = subprocess.Popen(
                job_command(self.folder.path, self.job),
                cwd=self.cwd,
                env=os.environ | self.environment | variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            write_state(run_dir, replace(state, pid=self.process.pid))
            if self._interrupts:
                self.process.send_signal(signal.SIGINT)
            return self.process.wait()


def job_command(folder: Path, job: str) -> list[str]:
    """Command line of a job's process."""
    return module_command("talksplat.sweep.job", str(folder), job)


def _verdict(code: int, log: Path) -> tuple[str, str | None]:
    """State of a job whose process ended, and its error."""
    state = VERDICTS.get(code, FAILED)
    if state == FAILED and code < 0:
        hint = ": out of memory?" if code == -signal.SIGKILL else ""
        return FAILED, f"ended by {signal.Signals(-code).name}{hint}"
    return state, None if state == DONE else last_line(log)


def last_line(log: Path) -> str:
    """Last line that a job printed: of a traceback, the error."""
    with open(log, "rb") as file:
        file.seek(max(log.stat().st_size - ERROR_BYTES, 0))
        lines = file.read().decode(errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "").removeprefix("error: ")


def run_in_worker(config: DictConfig) -> str:
    """Task of a launcher of Hydra on whatever machine it chose; `config`: `conf/sweep_job.yaml` with the job's name."""
    folder = SweepFolder(Path(config.folder))
    return Supervisor(folder, config.job, folder.read_spec().cwd).run().state
