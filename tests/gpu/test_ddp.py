"""One run over two GPUs, through NCCL: what one GPU computes with the batch of both."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tests.helpers.runs import small_config, weights

from talksplat.checkpoint import read_checkpoint
from talksplat.training.run import TrainingRun

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(torch.cuda.device_count() < 2, reason="fewer than two GPUs"),
]
SETTINGS = [
    "trainer.accelerator=gpu",
    "trainer.precision=float32",
    "trainer.log_every=1",
    "model.cross_attention.dropout=0",
    "model.tokens.camera.noise=0",
]


def trained(subject: Path, run_dir: Path, *overrides: str) -> Path:
    """A run of which only the training is wanted. Density control itself makes sure that all processes agree."""
    run = TrainingRun(small_config(subject, *SETTINGS, *overrides), run_dir)
    with run.opened():
        run.train()
    return run_dir


def losses(run_dir: Path) -> list[float]:
    """Loss at each step."""
    lines = [line.split(",") for line in (run_dir / "metrics.csv").read_text().splitlines()]
    return [float(value) for _, name, value in lines if name.endswith("/loss")]


def test_two_gpus_are_one_with_the_batch_of_both(tiny_subject: Path, tmp_path: Path) -> None:
    batch = ["stage.stages.coarse.batch_size=2", "stage.stages.fine.batch_size=2"]
    one = trained(tiny_subject, tmp_path / "one", *batch)
    two = trained(tiny_subject, tmp_path / "two", "trainer=ddp", "trainer.devices=2")
    first, second = losses(one), losses(two)
    assert len(first) == len(second) == 20
    assert second[0] == pytest.approx(first[0], rel=1e-5)
    assert second == pytest.approx(first, rel=2e-2)
    counts = [read_checkpoint(path / "last.ckpt")["talksplat"]["num_gaussians"] for path in (one, two)]
    assert counts[0] != 400
    assert counts[1] == pytest.approx(counts[0], rel=0.02)
    info = json.loads((two / "run_info.json").read_text())
    assert info["devices"] == 2
    assert "2x" in info["gpu"] or "," in info["gpu"]


def test_all_gpus_agree_with_dropout_and_go_on(tiny_subject: Path, tmp_path: Path) -> None:
    noise = ["trainer=ddp", "trainer.devices=2", "model.cross_attention.dropout=0.1", "model.tokens.camera.noise=0.2"]
    run_dir = trained(tiny_subject, tmp_path / "run", *noise)
    whole = weights(read_checkpoint(run_dir / "last.ckpt"))
    assert all(torch.isfinite(value).all() for value in whole.values() if value.is_floating_point())
    (run_dir / "stages" / "02_fine" / "finished.json").unlink()
    (run_dir / "stages" / "02_fine" / "last.ckpt").unlink()
    trained(tiny_subject, run_dir, *noise, "resume=true")
    assert read_checkpoint(run_dir / "last.ckpt")["talksplat"]["step"] == 8
