"""Batches of one portrait or of several, in training order and in the order of the video."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from jaxtyping import Int
from torch import Tensor

from talksplat.data.sampler import SubjectOrder, TrainOrder
from talksplat.errors import UserError
from talksplat.types import FrameBatch

if TYPE_CHECKING:
    from talksplat.data.datamodule import PortraitDataModule


class Batches:
    """Base of the data of a run, which is that of `portraits`. Of several, a batch is of one, which its conditions name, and
    users of a single one (previews) get the first."""

    portraits: Mapping[str, PortraitDataModule]

    def batch(self, positions: Int[Tensor, " frame"], device: torch.device | str) -> FrameBatch:
        """The frames at `positions` (into the frames of the first), on `device`."""
        name, portrait = next(iter(self._sources().items()))
        return _batch(name, portrait, positions, device)

    def train_batches(
        self,
        batch_size: int,
        seed: int,
        start_step: int,
        num_steps: int,
        device: torch.device | str,
        rank: int = 0,
        world: int = 1,
    ) -> Iterator[FrameBatch]:
        """Batches of the steps [start_step, start_step + num_steps), the same for the same seed and step; of several
        processes, those of the process of number `rank`, with `batch_size` frames each. Each of several portraits comes once
        in as many steps as there are portraits, in a new order each time."""
        sources = list(self._sources().items())
        subjects = SubjectOrder(len(sources), seed)
        train = [torch.from_numpy(portrait.subject.train) for _, portrait in sources]
        orders = [TrainOrder(len(positions), batch_size, seed, rank, world) for positions in train]
        for step in range(start_step, start_step + num_steps):
            index, own_step = subjects.at(step)
            yield _batch(*sources[index], train[index][orders[index].positions(own_step)], device)

    def eval_batches(
        self, split: str, batch_size: int, device: torch.device | str, limit: int | None = None
    ) -> Iterator[FrameBatch]:
        """The frames of "train", "val" or "test" in the order of the video, once each; the first `limit` if given."""
        if split not in ("train", "val", "test"):
            raise UserError(f"there is no split {split!r}: choose train, val or test")
        name, portrait = next(iter(self._sources().items()))
        positions = torch.from_numpy(getattr(portrait.subject, split))[:limit]
        for chunk in positions.split(batch_size):
            yield _batch(name, portrait, chunk, device)

    def _sources(self) -> dict[str | None, PortraitDataModule]:
        """Portraits by the name that conditions get; None where there is only one."""
        portraits = dict(self.portraits)
        return portraits if len(portraits) > 1 else {None: next(iter(portraits.values()))}


def _batch(
    name: str | None, portrait: PortraitDataModule, positions: Int[Tensor, " frame"], device: torch.device | str
) -> FrameBatch:
    batch = portrait.store.batch(positions, device)
    return batch if name is None else replace(batch, conditions=replace(batch.conditions, subject=name))
