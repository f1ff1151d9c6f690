"""What a run is called by itself."""

from __future__ import annotations

import pytest

from talksplat.config import compose
from talksplat.trackers.naming import run_name, run_tags, sweep_name


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        (["model=egstalker"], "egstalker seed0"),
        (["model=egstalker", "experiment=egstalker/no_ppe", "seed=1"], "no_ppe seed1"),
        (
            ["model=gaussiantalker", "experiment=[gaussiantalker/no_eye,gaussiantalker/one_layer]", "seed=2"],
            "no_eye+one_layer seed2",
        ),
        (["experiment@_global_=gaussiantalker/no_eye", "tracker=wandb", "trainer.log_every=5"], "no_eye seed0"),
        (["model=static", "stage.stages.coarse.steps=12"], "static seed0 coarse.steps=12"),
        (["model=static", f"dataset.cache_dir=/{'x' * 80}"], "static seed0"),
    ],
)
def test_name(overrides: list[str], name: str) -> None:
    assert run_name(compose("train", overrides)) == name


def test_tags_and_group(monkeypatch: pytest.MonkeyPatch) -> None:
    config = compose("train", ["model=egstalker", "experiment=egstalker/no_ppe", "stage=smoke"])
    assert {"egstalker", "egstalker/no_ppe", "sample", "smoke"} <= set(run_tags(config))
    assert all(0 < len(tag) <= 64 for tag in run_tags(config))
    monkeypatch.delenv("TALKSPLAT_SWEEP", raising=False)
    assert sweep_name() is None
    monkeypatch.setenv("TALKSPLAT_SWEEP", "components_2026")
    assert sweep_name() == "components_2026"
