"""Jobs as processes of this machine, some at a time, each on GPUs of its own where there are some."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import torch

from talksplat.errors import Interrupted, UserError
from talksplat.sweep.folder import SweepFolder
from talksplat.sweep.supervise import Supervisor

logger = logging.getLogger(__name__)


@dataclass
class ProcessLauncher:
    """Starts each job as a process, as many at a time as there are slots. Settings: `conf/hydra/launcher/processes.yaml`."""

    runs_here: ClassVar[bool] = True  # on this machine, so what jobs need must be here
    parallel: int | None = None
    gpus_per_job: int | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and value < 1:
                raise UserError(f"hydra.launcher.{name} must be at least 1, not {value}")

    def slots(self, gpus_wanted: int | None) -> list[dict[str, str]]:
        """Environment of each job that may run at the same time. Raises UserError: a job needs more GPUs than there
        are.

        Args:
            gpus_wanted: GPUs that a job's trainer uses; None: all that it sees; 0: none.
        """
        gpus = [] if gpus_wanted == 0 else visible_gpus()
        if not gpus:
            return self._cpu_slots()
        share = self.gpus_per_job or gpus_wanted or len(gpus)
        if gpus_wanted and share < gpus_wanted:
            raise UserError(f"hydra.launcher.gpus_per_job={share} is less than trainer.devices={gpus_wanted}")
        if share > len(gpus):
            raise UserError(f"a job wants {share} GPUs and this machine shows {len(gpus)}: lower trainer.devices")
        groups = [gpus[start : start + share] for start in range(0, len(gpus) - share + 1, share)]
        count = self.parallel or len(groups)
        # More jobs than groups of GPUs share them.
        return [{"CUDA_VISIBLE_DEVICES": ",".join(groups[index % len(groups)])} for index in range(count)]

    def run(self, folder: SweepFolder, jobs: Sequence[str], cwd: str, gpus_wanted: int | None) -> None:
        """Run the jobs to their ends, good or bad. Raises Interrupted: by Ctrl-C; each job has stopped after its
        current step."""
        slots, thread = self.slots(gpus_wanted), threading.local()
        free = iter(slots)
        supervisors = [Supervisor(folder, job, cwd) for job in jobs]

        def take_slot() -> None:
            thread.slot = next(free)

        def work(supervisor: Supervisor) -> None:
            supervisor.environment |= thread.slot
            supervisor.run()

        pressed: list[int] = []

        def interrupt(*_: object) -> None:
            if not pressed:
                logger.warning("stopping after the current steps; press Ctrl-C again to stop at once")
            pressed.append(1)
            for supervisor in supervisors:
                supervisor.interrupt()

        with on_ctrl_c(interrupt), ThreadPoolExecutor(len(slots), initializer=take_slot) as pool:
            try:
                futures = [pool.submit(work, supervisor) for supervisor in supervisors]
                # Waiting without end would not let Ctrl-C through on every system.
                while wait(futures, timeout=1.0).not_done:
                    pass
            except BaseException:
                interrupt()
                raise
        if pressed:
            raise Interrupted("interrupted")
        for future in futures:
            future.result()

    def _cpu_slots(self) -> list[dict[str, str]]:
        count = self.parallel or 1
        if count == 1:
            return [{}]
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        threads = str(max(1, cores // count))
        names = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        return [{name: threads for name in names if name not in os.environ}] * count


@contextmanager
def on_ctrl_c(action: Callable[..., None]) -> Iterator[None]:
    """While this lasts, Ctrl-C calls `action`. As an exception it would be lost where it met a finaliser, in which Python only
    prints what is raised."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, action)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def visible_gpus() -> list[str]:
    """Names by which CUDA_VISIBLE_DEVICES knows the GPUs that this process sees."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = torch.cuda.device_count()  # through the driver's management library: makes no context
    return given.split(",")[:count] if given else [str(index) for index in range(count)]
