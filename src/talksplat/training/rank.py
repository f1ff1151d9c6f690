"""One of the other processes of a run over several devices: `Crew` starts it, nobody else needs to."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import torch.distributed as dist
from omegaconf import OmegaConf

from talksplat.errors import exits_cleanly
from talksplat.parallel.crew import ready_key
from talksplat.parallel.group import HOST, TIMEOUT, close_group, open_group
from talksplat.training.console import log_to_console, quiet_libraries
from talksplat.training.run import TrainingRun


@exits_cleanly
def main() -> None:
    """`python -m talksplat.training.rank RUN RANK WORLD PORT PARENT`, with the configuration on standard input."""
    run_dir, rank, world, port, parent = Path(sys.argv[1]), *map(int, sys.argv[2:6])
    # Ctrl-C reaches all processes of a terminal. The first one answers it, and tells the others.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    log_to_console()
    quiet_libraries()
    run = TrainingRun(OmegaConf.create(sys.stdin.read()), run_dir, rank=rank)
    store = dist.TCPStore(HOST, port, world, is_master=False, timeout=TIMEOUT)
    store.set(ready_key(rank), "")
    open_group(store, rank, world, run.device)
    run.train_stages()
    close_group()


def _end_with(parent: int) -> None:
    """A first process that was killed could not say so."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)


if __name__ == "__main__":
    main()
