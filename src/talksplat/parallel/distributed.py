"""Process group of a run over several devices. No-ops in a run of one process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

TIMEOUT = timedelta(minutes=15)  # how long one process may keep the others waiting, e.g. with a preview or a checkpoint
HOST = "127.0.0.1"  # all processes of a run are on one machine


def world_size() -> int:
    """Number of processes that train together."""
    return dist.get_world_size() if _together() else 1


def rank() -> int:
    """Number of this process, from 0."""
    return dist.get_rank() if _together() else 0


def is_first() -> bool:
    """Whether this is the process that writes: there is one in every run."""
    return rank() == 0


def open_group(store: dist.Store, rank: int, world: int, device: torch.device) -> None:
    """Meet the other processes: NCCL between GPUs, gloo between CPU processes."""
    on_gpu = device.type == "cuda"
    dist.init_process_group(
        "nccl" if on_gpu else "gloo",
        store=store,
        rank=rank,
        world_size=world,
        timeout=TIMEOUT,
        device_id=device if on_gpu else None,
    )


def close_group() -> None:
    """Leave the group."""
    if _together():
        dist.destroy_process_group()


def mean_over_processes(value: Tensor) -> Tensor:
    """A number's mean over the processes, on its device and without waiting for it; no gradient goes through."""
    if world_size() == 1:
        return value
    total = value.detach().clone()
    dist.all_reduce(total)
    return total / world_size()


def gather(value: Any) -> list[Any]:
    """An object of each process, in order of rank; small ones, since they are pickled."""
    if world_size() == 1:
        return [value]
    values = [None] * world_size()
    dist.all_gather_object(values, value)
    return values


@torch.no_grad()
def take_from_first(tensors: Iterable[Tensor]) -> None:
    """Overwrite tensors in place with those of the first process."""
    if world_size() > 1:
        for tensor in tensors:
            values = tensor.detach().contiguous()  # itself, or a copy in the one layout that can be sent
            dist.broadcast(values, 0)
            tensor.copy_(values)


def check_equal(tensors: Mapping[str, Tensor], when: str) -> None:
    """Make sure that all processes hold the same bits: if they did not, they would drift apart, or wait for ever.

    Args:
        tensors: float32 tensors by name.
        when: for the message, e.g. "after density control at step 500".

    Raises:
        RuntimeError: in all processes, naming the first tensor that differs.
    """
    if world_size() == 1:
        return
    sums = [tensor.detach().contiguous().view(torch.int32).sum(dtype=torch.int64) for tensor in tensors.values()]
    marks = torch.stack(sums)
    marks = torch.cat([marks, marks.new_tensor([tensor.numel() for tensor in tensors.values()])])
    extremes = torch.cat([marks, -marks])
    dist.all_reduce(extremes, dist.ReduceOp.MAX)
    largest, smallest = extremes[: len(marks)], -extremes[len(marks) :]
    for name, differs in zip([*tensors, *tensors], (largest != smallest).tolist()):
        if differs:
            raise RuntimeError(f"the processes of this run hold different {name} {when}: results would be wrong")


def _together() -> bool:
    return dist.is_available() and dist.is_initialized()
