"""NaN guard: stops a run at the first loss or gradient that is not finite, before it reaches the parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.optim import Optimizer


class NonFiniteError(Exception):
    """A loss term or a gradient became NaN or infinite; the parameters are still finite."""

    def __init__(self, step: int, names: Sequence[str]) -> None:
        self.step = step
        self.names = list(names)
        super().__init__(f"{', '.join(self.names)} became NaN or infinite at step {step}")


class NanGuard:
    """Check of loss terms and gradients before the optimisers step.

    On a CPU a bad number raises at once. On a GPU the host would have to wait for it: there the optimisers read from the
    device whether to step (`found_inf` of torch's fused Adam, as with a gradient scaler), none steps from the first bad
    number on, and the error is raised a step later, when the flags have arrived.
    """

    def __init__(self) -> None:
        self.bad: Float[Tensor, ""] | None = None  # 1 from the first bad step on; None: on a CPU
        self._pending: tuple[int, list[str], Bool[Tensor, " number"], torch.cuda.Event] | None = None

    def check(
        self,
        step: int,
        terms: Mapping[str, Tensor],
        parameters: Mapping[str, Sequence[nn.Parameter]],
        optimizers: Sequence[Optimizer] = (),
    ) -> None:
        """Check a step; `optimizers` will skip it if a number is bad.

        Args:
            terms: scalar loss terms by name.
            parameters: parameters by group, whose gradients have been filled.

        Raises:
            NonFiniteError: names the loss terms, or else the groups of parameters with bad gradients, of this step or the
                one before.
        """
        self.read()
        names, finite = _finite(terms, parameters)
        if not finite.is_cuda:
            _raise_if_bad(step, names, finite)
            return
        bad = (~finite).any().float()
        self.bad = bad if self.bad is None else torch.maximum(self.bad, bad)
        for optimizer in optimizers:
            optimizer.found_inf = self.bad
        flags = torch.empty(finite.shape, dtype=torch.bool, pin_memory=True).copy_(finite, non_blocking=True)
        arrived = torch.cuda.Event()
        arrived.record()
        self._pending = step, names, flags, arrived

    def read(self) -> None:
        """Raise what the last step on a GPU found; waits until that step's gradients are computed.

        Raises:
            NonFiniteError: as `check`.
        """
        if self._pending is not None:
            (step, names, flags, arrived), self._pending = self._pending, None
            arrived.synchronize()
            _raise_if_bad(step, names, flags)

    def without_bad(self, sums: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The same sums, 0 in a step that is skipped."""
        if self.bad is None:
            return dict(sums)
        return {name: torch.where(self.bad > 0, 0, value) for name, value in sums.items()}


def _finite(
    terms: Mapping[str, Tensor], parameters: Mapping[str, Sequence[nn.Parameter]]
) -> tuple[list[str], Bool[Tensor, " number"]]:
    """Names of all numbers checked, and whether each is finite."""
    names, values = [f"loss term {name!r}" for name in terms], [term.float() for term in terms.values()]
    for name, params in parameters.items():
        gradients = [parameter.grad for parameter in params if parameter.grad is not None]
        if gradients:
            names.append(f"the gradient of {name}")
            # A sum is NaN or infinite when any element is; norms of single tensors are one fused launch.
            values.append(torch.stack(torch._foreach_norm(gradients)).sum())
    return names, torch.isfinite(torch.stack(values))


def _raise_if_bad(step: int, names: Sequence[str], finite: Bool[Tensor, " number"]) -> None:
    bad = [name for name, good in zip(names, finite.tolist()) if not good]
    if bad:  # a bad loss term spoils gradients of all groups: then they say nothing
        raise NonFiniteError(step, [name for name in bad if name.startswith("loss term")] or bad)
