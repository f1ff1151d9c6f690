"""Two processes that share a group, without the seconds that imports cost."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from talksplat.parallel.distributed import close_group, open_group
from tests.helpers.waiting import HANG

WORLD = 2


def together(function: Callable[[int], Any], folder: Path) -> list[Any]:
    """What `function(rank)` returns in each of two processes; errors come back as their text."""
    context = multiprocessing.get_context("fork")
    pipes = [context.Pipe() for _ in range(WORLD)]
    processes = [
        context.Process(target=_run, args=(function, rank, folder / "store", pipes[rank][1])) for rank in range(WORLD)
    ]
    for process in processes:
        process.start()
    results = [pipe.recv() if pipe.poll(HANG) else "no answer" for pipe, _ in pipes]
    for process in processes:
        process.join(HANG)
        process.kill()
    return results


def _run(function: Callable[[int], Any], rank: int, store: Path, answer: Any) -> None:
    torch.set_num_threads(1)  # a forked process has none of its parent's threads
    try:
        open_group(dist.FileStore(str(store), WORLD), rank, WORLD, torch.device("cpu"))
        result = function(rank)
        answer.send(result)
        close_group()
    except BaseException as error:
        answer.send(f"{type(error).__name__}: {error}")
    os._exit(0)


def children_of(pid: int) -> list[int]:
    """Process ids of the running children of a process."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            if int(parent) == pid and state != "Z":
                found.append(int(entry.name))
    return found
