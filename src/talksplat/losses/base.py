"""Loss terms: interface, and their weighted sum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from talksplat.errors import UserError
from talksplat.types import FrameBatch, RenderOutput


class Loss(nn.Module):
    """One term of the training loss. A subclass's `forward` returns the unweighted term as a scalar.

    Args:
        weight: factor in the total; 0 switches the term off, and it is not computed.
        start: first step of a stage in which the term is active.
        end: step of a stage from which it is no longer active; None: never.
        stages: names of the stages in which it is active; None: all.
    """

    def __init__(
        self, weight: float, start: int = 0, end: int | None = None, stages: Sequence[str] | None = None
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if weight < 0:
            raise UserError(f"{name}: weight must not be negative, not {weight}")
        if start < 0 or (end is not None and end <= start):
            raise UserError(f"{name}: needs 0 <= start < end, not start={start} and end={end}")
        if isinstance(stages, str):
            raise UserError(f"{name}: stages is a list of stage names such as [{stages}], not {stages!r}")
        self.weight = float(weight)
        self.start = start
        self.end = end
        self.stages = None if stages is None else tuple(stages)

    def active(self, stage: str, step: int) -> bool:
        """Whether the term is active at a step (from 0) of the stage of this name."""
        in_stage = self.stages is None or stage in self.stages
        return self.weight > 0 and in_stage and self.start <= step and (self.end is None or step < self.end)

    def check_available(self) -> None:
        """Called once before training: raises UserError where a file that the term needs is missing and cannot be downloaded."""

    def forward(self, output: RenderOutput, batch: FrameBatch) -> Tensor:
        """The unweighted term, a scalar, for a rendering of the batch."""
        raise NotImplementedError


def total_loss(
    losses: Mapping[str, Loss] | nn.ModuleDict, output: RenderOutput, batch: FrameBatch, stage: str, step: int
) -> tuple[Tensor, dict[str, Tensor]]:
    """Weighted sum of the active terms, and each of them detached and unweighted, by name.

    Raises:
        UserError: no term is active at this step of this stage.
    """
    terms = {name: loss(output, batch) for name, loss in losses.items() if loss.active(stage, step)}
    if not terms:
        raise UserError(
            f"no loss is active in stage {stage!r} at step {step}: give one of {', '.join(losses) or 'loss.l1'} "
            "a weight, and stages, start and end that cover this step"
        )
    total = torch.stack([losses[name].weight * term for name, term in terms.items()]).sum()
    return total, {name: term.detach() for name, term in terms.items()}
