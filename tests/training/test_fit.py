"""Random numbers of a stage."""

from __future__ import annotations

from pathlib import Path

import pytest

from talksplat.data.batches import Batches
from talksplat.data.datamodule import PortraitDataModule
from talksplat.training.run import train
from tests.helpers.runs import small_config

STEPS = ("stage.stages.coarse.steps=2", "stage.stages.fine.steps=2", "model=static", "trainer.preview_every=null")


def test_no_two_stages_of_neighbouring_seeds_share_their_order(
    tiny_subject: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[int] = []
    original = PortraitDataModule.train_batches

    def noted(self: Batches, batch_size: int, seed: int, *rest):
        seeds.append(seed)
        return original(self, batch_size, seed, *rest)

    monkeypatch.setattr(PortraitDataModule, "train_batches", noted)
    for seed in (0, 1):
        train(small_config(tiny_subject, *STEPS, f"seed={seed}"), tmp_path / str(seed))
    assert len(seeds) == 4 and len(set(seeds)) == 4
