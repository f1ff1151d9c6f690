"""Subject collection: several portraits that train together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from talksplat.command_line import setting
from talksplat.data.datamodule import PortraitDataModule
from talksplat.data.frame_store import FrameStore
from talksplat.data.sampler import SubjectOrder
from talksplat.errors import UserError
from talksplat.fingerprints import same_features
from talksplat.subject_format.subject import Subject
from talksplat.types import FrameBatch


class SubjectCollection:
    """The data of several people; a batch is of one of them, which its conditions name.

    Users of a single subject (previews) get the first.

    Args:
        portraits: prepared data modules, of folders with different names.

    Raises:
        UserError: two folders of one name.
    """

    def __init__(self, portraits: Sequence[PortraitDataModule]):
        self.portraits: dict[str, PortraitDataModule] = {}
        for portrait in portraits:
            name = next(iter(portrait.portraits))
            if name in self.portraits:
                raise UserError(
                    f"dataset.roots has two folders called {name}: subjects are distinguished by these names"
                )
            self.portraits[name] = portrait
        known = self.first.subject.audio_fingerprint
        for name, portrait in self.portraits.items():
            other = portrait.subject.audio_fingerprint
            if known is not None and other is not None and not same_features(other, known):
                raise UserError(
                    f"dataset.roots: the audio features of {name} are of another model than those of {next(iter(self.portraits))}: "
                    f"make them again with python -m talksplat.preprocess {setting('features', portrait.root)} overwrite=true"
                )

    @property
    def first(self) -> PortraitDataModule:
        """The first portrait."""
        return next(iter(self.portraits.values()))

    @property
    def subject(self) -> Subject:
        """Its subject."""
        return self.first.subject

    @property
    def store(self) -> FrameStore:
        """Its frames."""
        return self.first.store

    def batch(self, positions: Int[Tensor, " frame"], device: torch.device | str) -> FrameBatch:
        """Frames of the first subject, see `PortraitDataModule`."""
        return of_subject(self.store.batch(positions, device), next(iter(self.portraits)))

    @property
    def notes(self) -> list[str]:
        """Notes on what was missing or unusual in the folders."""
        return [f"{name}: {note}" for name, portrait in self.portraits.items() for note in portrait.notes]

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
        """As of `PortraitDataModule`: a pure function of seed and step. Each subject comes once in as many steps as there are
        subjects, in a new order each time."""
        order = SubjectOrder(len(self.portraits), seed)
        names = list(self.portraits)
        batches: dict[str, Iterator[FrameBatch]] = {}
        for step in range(start_step, start_step + num_steps):
            index, own_step = order.at(step)
            name = names[index]
            if name not in batches:
                batches[name] = self.portraits[name].train_batches(
                    batch_size, seed, own_step, num_steps, device, rank, world
                )
            yield of_subject(next(batches[name]), name)

    def eval_batches(
        self, split: str, batch_size: int, device: torch.device | str, limit: int | None = None
    ) -> Iterator[FrameBatch]:
        """Frames of the first subject, see `PortraitDataModule`."""
        name = next(iter(self.portraits))
        for batch in self.first.eval_batches(split, batch_size, device, limit):
            yield of_subject(batch, name)

    def describe(self) -> dict[str, Any]:
        """Description of the subjects, for `run_info.json`: the first, and all by name."""
        each = {name: portrait.describe() for name, portrait in self.portraits.items()}
        return {**next(iter(each.values())), "subjects": each}


def of_subject(batch: FrameBatch, name: str) -> FrameBatch:
    """The batch with conditions that name their subject."""
    return replace(batch, conditions=replace(batch.conditions, subject=name))
