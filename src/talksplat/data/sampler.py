"""Sampler: order of the training frames."""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor

from talksplat.errors import UserError


class TrainOrder:
    """A new permutation of the frames each epoch; every batch is a pure function of the seed and the step.

    So a run that resumes at step n gets the batches of an uninterrupted one. Frames left over at the end of an epoch are dropped;
    a batch larger than the number of frames goes round several permutations. Of several processes (`world`), the one of
    number `rank` sees its part of a batch `world` times as large; the parts together are what one process would see with
    that batch.
    """

    def __init__(self, num_frames: int, batch_size: int, seed: int, rank: int = 0, world: int = 1):
        if num_frames < 1 or batch_size < 1:
            raise UserError(f"cannot draw batches of {batch_size} from {num_frames} frames: both must be at least 1")
        self.num_frames, self.seed = num_frames, seed
        self.batch_size, self.rank = batch_size, rank
        self.step_size = batch_size * world
        self.steps_per_epoch = max(1, num_frames // self.step_size)
        self._epoch = -1
        self._order = torch.zeros(0, dtype=torch.long)

    def positions(self, step: int) -> Int[Tensor, " batch"]:
        """Frames (0 to num_frames - 1) of the batch of `step` (from 0)."""
        epoch, batch = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, self._permutation(epoch)
        start = batch * self.step_size + self.rank * self.batch_size
        return self._order[start : start + self.batch_size]

    def _permutation(self, epoch: int) -> Int[Tensor, " frame"]:
        # Hashed together, so that epoch 1 of seed 0 is not epoch 0 of seed 1.
        generator = torch.Generator().manual_seed((self.seed * 0x9E3779B1 + epoch * 0x85EBCA77) % 2**63)
        rounds = max(1, -(-self.step_size // self.num_frames))
        return torch.cat([torch.randperm(self.num_frames, generator=generator) for _ in range(rounds)])


class SubjectOrder:
    """Subject of each step, a pure function of the seed and the step: each subject once per round, in a random order."""

    def __init__(self, num_subjects: int, seed: int):
        self.num_subjects, self.seed = num_subjects, seed

    def at(self, step: int) -> tuple[int, int]:
        """The subject of a step, and its number of earlier steps."""
        turn, place = divmod(step, self.num_subjects)
        generator = torch.Generator().manual_seed((self.seed * 0x9E3779B1 + turn * 0xC2B2AE35) % 2**63)
        return int(torch.randperm(self.num_subjects, generator=generator)[place]), turn
