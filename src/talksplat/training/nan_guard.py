"""NaN guard: stops a run at the first loss or gradient that is not finite, before the optimiser step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn


class NonFiniteError(Exception):
    """A loss term or a gradient became NaN or infinite; the parameters are still finite."""

    def __init__(self, step: int, names: Sequence[str]) -> None:
        self.step = step
        self.names = list(names)
        super().__init__(f"{', '.join(self.names)} became NaN or infinite at step {step}")


def check_finite(step: int, terms: Mapping[str, Tensor], parameters: Mapping[str, Sequence[nn.Parameter]]) -> None:
    """Check loss terms and gradients before the optimisers step, with one device synchronisation.

    Args:
        terms: scalar loss terms by name.
        parameters: parameters by group, whose gradients have been filled.

    Raises:
        NonFiniteError: names the loss terms, or else the groups of parameters with bad gradients.
    """
    names, values = [], []
    for name, params in parameters.items():
        gradients = [parameter.grad for parameter in params if parameter.grad is not None]
        if gradients:
            names.append(f"the gradient of {name}")
            # A sum is NaN or infinite when any element is; norms of single tensors are one fused launch.
            values.append(torch.stack(torch._foreach_norm(gradients)).sum())
    flags = torch.isfinite(torch.stack([*(term.float() for term in terms.values()), *values])).tolist()
    if all(flags):
        return
    bad = [name for name, good in zip([*(f"loss term {name!r}" for name in terms), *names], flags) if not good]
    bad_terms = bad[: sum(not good for good in flags[: len(terms)])]
    raise NonFiniteError(step, bad_terms or bad)
