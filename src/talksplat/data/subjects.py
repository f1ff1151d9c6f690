"""Subject collection: several portraits that train together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from talksplat.command_line import setting
from talksplat.data.batches import Batches
from talksplat.data.datamodule import PortraitDataModule
from talksplat.data.frame_store import FrameStore
from talksplat.errors import UserError
from talksplat.fingerprints import distinct, same_features
from talksplat.subject_format.subject import Subject


class SubjectCollection(Batches):
    """The data of several people.

    Args:
        portraits: prepared data modules; their folders' names tell them apart, with a number where two have the same.

    Raises:
        UserError: the same data twice, or audio features of different models.
    """

    def __init__(self, portraits: Sequence[PortraitDataModule]):
        self.portraits: dict[str, PortraitDataModule] = {}
        roots: dict[str, Path] = {}
        for portrait in portraits:
            root = roots.setdefault(portrait.identity["frames"], portrait.root)
            if root is not portrait.root:
                raise UserError(
                    f"dataset.roots has the same frames twice, in {root} and {portrait.root}: give them once"
                )
            self.portraits[distinct(next(iter(portrait.portraits)), self.portraits)] = portrait
        known = self.first.subject.audio_fingerprint
        for name, portrait in self.portraits.items():
            other = portrait.subject.audio_fingerprint
            if known is not None and other is not None and not same_features(other, known):
                raise UserError(
                    f"dataset.roots: the audio features of {name} are of another model than those of {next(iter(self.portraits))}: "
                    f"make them again with python -m talksplat.preprocess {setting('features', portrait.root)} overwrite=true"
                )

    def rename(self, names: Sequence[str]) -> None:
        """Give the portraits other names, in their order."""
        self.portraits = dict(zip(names, self.portraits.values(), strict=True))

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

    @property
    def notes(self) -> list[str]:
        """Notes on what was missing or unusual in the folders."""
        return [f"{name}: {note}" for name, portrait in self.portraits.items() for note in portrait.notes]

    def describe(self) -> dict[str, Any]:
        """Description of the subjects, for `run_info.json`: the first, and all by name."""
        each = {name: portrait.describe() for name, portrait in self.portraits.items()}
        return {**next(iter(each.values())), "subjects": each}
