"""One step's gradients and numbers, made the same in all processes by a single sum over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from talksplat.parallel.group import world_size


@dataclass(frozen=True)
class Shared:
    """The same in all processes."""

    means: dict[str, Tensor]  # of numbers, over the processes
    sums: dict[str, Tensor]  # of tensors, over the processes
    stop: bool  # whether any process wants to stop


@torch.no_grad()
def exchange(
    parameters: Sequence[nn.Parameter], means: Mapping[str, Tensor], sums: Mapping[str, Tensor], stop: bool
) -> Shared:
    """Average gradients over the processes, in place, and share what goes along with them.

    Everything travels in one float32 buffer, hence one launch: an avatar has some five million parameters in a hundred
    tensors, so what costs is the number of messages. NaN and infinity spread, so that all processes come to the same
    verdict on a step. Where a parameter has a gradient in some processes only, zeros stand for the missing ones; where in
    none, it has none afterwards, as in one process.

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
    shared_means = {name: next(parts)[0] for name in means}
    shared_sums = {name: next(parts).view_as(value).clone() for name, value in sums.items()}
    *anywhere, wanted = next(parts).tolist()
    for parameter, gradient, count in zip(parameters, gradients, anywhere):
        parameter.grad = gradient.view_as(parameter).to(parameter.dtype) if count else None
    return Shared(shared_means, shared_sums, bool(wanted))
