"""One all-reduce per step: gradients and numbers become the same in all processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

from talksplat.parallel.distributed import world_size


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
    messages is the cost. NaN and infinity spread, so that all processes come to the same verdict on a step. Where a parameter has a gradient in some processes only, zeros stand for the missing ones; where in
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
    mean_values = {name: next(parts)[0] for name in means}
    sum_values = {name: next(parts).view_as(value).clone() for name, value in sums.items()}
    *anywhere, wanted = next(parts).tolist()
    for parameter, gradient, count in zip(parameters, gradients, anywhere):
        parameter.grad = gradient.view_as(parameter).to(parameter.dtype) if count else None
    return Reduced(mean_values, sum_values, bool(wanted))
