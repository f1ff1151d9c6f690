"""Process group of a run over several devices. No-ops in a run of one process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

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
    Raises RuntimeError: in all processes, naming the first tensor that differs.

    Args:
        tensors: float32 tensors by name.
        when: for the message, e.g. "after density control at step 500".
    """
    if world_size() == 1:
        return
    bits = {name: tensor.detach().contiguous().view(torch.int32) for name, tensor in tensors.items()}
    first, *others = gather({name: (one.numel(), int(one.sum(dtype=torch.int64))) for name, one in bits.items()})
    for name in tensors:
        if any(other[name] != first[name] for other in others):
            raise RuntimeError(f"the processes of this run hold different {name} {when}: results would be wrong")


class Reduced(NamedTuple):
    """The same in all processes: means of numbers, sums of tensors, and whether any process wants to stop."""

    means: dict[str, Tensor]
    sums: dict[str, Tensor]
    stop: bool


@torch.no_grad()
def all_reduce(
    parameters: Sequence[nn.Parameter], means: Mapping[str, Tensor], sums: Mapping[str, Tensor], stop: bool
) -> Reduced:
    """Average gradients over the processes, in place, and reduce further numbers and tensors along with them.

    One float32 buffer, hence one launch: an avatar has some five million parameters in a hundred tensors, so the number of
    messages is the cost. NaN and infinity spread, so that all processes come to the same verdict on a step. Where a
    parameter has a gradient in some processes only, zeros stand for the missing ones; where in none, it has none afterwards,
    as in one process.

    Args:
        parameters: of the same number, order and shapes in all processes.
        means: scalars, to be averaged.
        sums: tensors, to be added up.
        stop: whether this process wants to stop.
    """
    device = parameters[0].device
    present = [float(parameter.grad is not None) for parameter in parameters]
    flags = torch.tensor([*present, float(stop)], pin_memory=device.type == "cuda").to(device, non_blocking=True)
    zero = torch.zeros(1, device=device)
    pieces = [
        zero.expand(parameter.numel()) if parameter.grad is None else parameter.grad.float().flatten()
        for parameter in parameters
    ]
    pieces += [value.float().reshape(1) for value in means.values()]
    averaged = sum(piece.numel() for piece in pieces)
    pieces += [*(value.float().flatten() for value in sums.values()), flags]
    sizes = [piece.numel() for piece in pieces]
    buffer = torch.cat(pieces)
    dist.all_reduce(buffer)
    buffer[:averaged].div_(world_size())
    parts = iter(buffer.split(sizes))
    gradients = [next(parts) for _ in parameters]
    mean_values = {name: next(parts)[0] for name in means}
    sum_values = {name: next(parts).view_as(value).clone() for name, value in sums.items()}
    *anywhere, wanted = next(parts).tolist()
    for parameter, gradient, count in zip(parameters, gradients, anywhere):
        parameter.grad = gradient.view_as(parameter).to(parameter.dtype) if count else None
    return Reduced(mean_values, sum_values, bool(wanted))


def _together() -> bool:
    return dist.is_available() and dist.is_initialized()
