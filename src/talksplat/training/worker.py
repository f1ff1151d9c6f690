"""Worker of a run over several devices, started by `LocalLauncher` only."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import torch.distributed as dist
from omegaconf import OmegaConf

from talksplat.entry_points import exits_cleanly
from talksplat.parallel.distributed import HOST, TIMEOUT, close_group, open_group
from talksplat.parallel.launcher import on_parent_exit, ready_key
from talksplat.training.console import log_to_console, quiet_libraries
from talksplat.training.run import TrainingRun


@exits_cleanly
def main() -> None:
    """`python -m talksplat.training.worker RUN RANK WORLD PORT PARENT`, with the configuration on standard input."""
    run_dir, rank, world, port, parent = Path(sys.argv[1]), *map(int, sys.argv[2:6])
    # Ctrl-C reaches all processes of a terminal. The first one handles it, and the others stop with it at an all-reduce.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    on_parent_exit(parent, lambda: os._exit(1))
    log_to_console()
    quiet_libraries()
    run = TrainingRun(OmegaConf.create(sys.stdin.read()), run_dir, rank=rank)
    store = dist.TCPStore(HOST, port, world, is_master=False, timeout=TIMEOUT)
    store.set(ready_key(rank), "")
    open_group(store, rank, world, run.device)
    run.train_stages()
    close_group()


if __name__ == "__main__":
    main()
