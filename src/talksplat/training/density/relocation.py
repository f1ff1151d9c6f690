"""Relocation of Gaussians onto others without a change of the image (Kheradmand et al. 2024, equation 9)."""

from __future__ import annotations

import math

import torch
from gsplat.strategy.ops import duplicate
from torch import Tensor, nn
from torch.optim import Optimizer

MAX_COPIES = 51  # of one Gaussian at a time, as in the paper's code


def split_among(opacities: Tensor, copies: Tensor) -> tuple[Tensor, Tensor]:
    """Opacity of each of N copies of a Gaussian in one place, and the factor of their scales, so that together they render
    what the Gaussian did.

    With o' = 1 - (1 - o)^(1/N), scales are multiplied by o / D, where D = sum_{i=1..N} sum_{k=0..i-1} C(i-1, k) (-1)^k
    o'^(k+1) / sqrt(k+1). The binomials C(i-1, k) of all i add up to C(N, k+1), which leaves one sum.

    gsplat's `compute_relocation` needs CUDA, and sums in float32, where the alternating
    terms of opaque Gaussians cancel (at o = 0.99999 and N = 51 the largest is some 300 times their sum).

    Args:
        opacities: [N], in (0, 1).
        copies: [N] integers, at least 1; clamped to `MAX_COPIES`.

    Returns:
        opacities of the copies and factors of their scales, both [N] in float64.
    """
    old = opacities.double()
    count = copies.clamp(1, MAX_COPIES)
    new = -torch.expm1(torch.log1p(-old) / count)
    k = torch.arange(1, MAX_COPIES + 1, dtype=old.dtype, device=old.device)
    binomials = [[math.comb(n, j) for j in range(1, MAX_COPIES + 1)] for n in range(MAX_COPIES + 1)]
    signed = old.new_tensor(binomials) * torch.where(k % 2 == 1, 1.0, -1.0) / k.sqrt()
    total = (signed[count] * new[:, None] ** k).sum(-1)
    return new, old / total


@torch.no_grad()
def relocate(params: nn.ParameterDict, optimizers: dict[str, Optimizer], moved: Tensor, min_opacity: float) -> None:
    """Move Gaussians onto others, sampled by opacity with replacement, in place.

    Resets the moments of both, which belong to other values. (The paper's code resets those of the targets only.)

    Args:
        params, optimizers: see `DensityControl`.
        moved: [N] mask of those to move; the others are targets.
        min_opacity: no opacity falls below it.
    """
    places, others = moved.nonzero()[:, 0], (~moved).nonzero()[:, 0]
    if len(places) == 0 or len(others) == 0:
        return
    opacities = params["opacities"].double().sigmoid()
    targets = others[torch.multinomial(opacities[others], len(places), replacement=True)]
    copies = torch.bincount(targets, minlength=len(moved))[targets] + 1
    shared, factors = split_among(opacities[targets].clamp(max=1 - torch.finfo(torch.float32).eps), copies)
    # A target that was sampled twice is written twice with the same values.
    params["opacities"][targets] = shared.clamp(min=min_opacity).logit().to(params["opacities"].dtype)
    params["scales"][targets] = params["scales"][targets] + factors.log()[:, None].to(params["scales"].dtype)
    for name, parameter in params.items():
        parameter[places] = parameter[targets]
        for moment in optimizers[name].state.get(parameter, {}).values():
            if moment.ndim:
                moment[places] = 0
                moment[targets] = 0


@torch.no_grad()
def add(params: nn.ParameterDict, optimizers: dict[str, Optimizer], count: int, min_opacity: float) -> None:
    """Add Gaussians onto others, sampled as by `relocate`: appends copies of arbitrary rows, then relocates them.

    Args:
        params, optimizers, min_opacity: as for `relocate`.
        count: at most N.
    """
    first = torch.arange(len(params["means"]), device=params["means"].device) < count
    duplicate(params=params, optimizers=optimizers, state={}, mask=first)
    new = torch.cat([torch.zeros_like(first), first.new_ones(count)])
    relocate(params, optimizers, new, min_opacity)
