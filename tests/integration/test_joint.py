"""Static head and deformation trained at once: handed over, measured, rendered and resumed as other stages are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from talksplat.checkpoint import build_model, read_checkpoint
from talksplat.config import compose
from talksplat.rendering.run import render
from talksplat.training.module import TalkingHeadModule
from talksplat.training.run import TrainingRun, train
from talksplat.types import Conditions
from tests.helpers.runs import small_config, weights
from tests.models.building import build, make_conditions, set_up

JOINT = ("experiment=gaussiantalker/joint", "stage.stages.coarse.steps=8", "stage.stages.fine.steps=4")


@pytest.fixture(scope="module")
def whole(tiny_subject: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run_dir = tmp_path_factory.mktemp("joint") / "whole"
    train(small_config(tiny_subject, *JOINT), run_dir)
    return run_dir


def frames(subject: Path) -> Conditions:
    run = TrainingRun(small_config(subject, *JOINT, "dry_run=true"), subject / "no_run")
    return run.data.store.batch(torch.arange(3), "cpu").conditions


def means_and_colors(checkpoint: Path, conditions: Conditions, mode: str) -> torch.Tensor:
    with torch.no_grad():
        gaussians = build_model(read_checkpoint(checkpoint))(conditions, mode, 1)
    return torch.cat([gaussians.means, gaussians.colors, gaussians.opacities[..., None]], dim=-1)


@pytest.mark.parametrize("name", ["gaussiantalker", "egstalker"])
def test_both_parts_learn(name: str) -> None:
    model = set_up(build(name)).train()
    gaussians = model(make_conditions(2), "joint", 3)
    sum(value.square().sum() for value in (gaussians.means, gaussians.colors, gaussians.opacities)).backward()
    for module in (
        model.face.canonical,
        model.face.deformation.heads,
        model.face.deformation.cross_attention,
        model.shared["tokens"],
        model.face.triplane,
    ):
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters()), type(module).__name__
    assert model.gaussians.params["opacities"].grad is None  # predicted: the explicit one waits for the next stage


def test_what_it_learned_is_handed_over(whole: Path, tiny_subject: Path) -> None:
    entry = read_checkpoint(whole / "last.ckpt")["talksplat"]
    assert entry["mode"] == "deform" and entry["step"] == 12
    assert entry["num_gaussians"] != 400  # density control was at work
    conditions = frames(tiny_subject)
    baked = means_and_colors(whole / "last.ckpt", conditions, "deform")
    torch.testing.assert_close(baked, means_and_colors(whole / "last.ckpt", conditions, "joint"))
    static = means_and_colors(whole / "last.ckpt", conditions, "canonical")
    assert (baked - static).abs().max() > 1e-4


def test_rendering_measures_what_training_measured(whole: Path, tmp_path: Path) -> None:
    measured = json.loads((whole / "metrics.json").read_text())["mean"]
    output = tmp_path / "test.mp4"
    arguments = [f"checkpoint={whole}", "split=test", f"output={output}", "lpips_net=null", "device=cpu"]
    rendered = render(compose("render", arguments)).metrics["mean"]
    assert rendered["psnr_head"] == pytest.approx(measured["psnr_head"], abs=1e-3)


def test_resume_gives_the_same_bits(
    whole: Path, tiny_subject: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped between two checkpoints (6 and 9) and after the first change of the number of Gaussians."""
    step = TalkingHeadModule.training_step

    def stopped(module: TalkingHeadModule, batch, batch_idx):
        if module.global_step == 8:
            raise RuntimeError("power cut")
        return step(module, batch, batch_idx)

    monkeypatch.setattr(TalkingHeadModule, "training_step", stopped)
    with pytest.raises(RuntimeError, match="power cut"):
        train(small_config(tiny_subject, *JOINT), tmp_path)
    kept = read_checkpoint(tmp_path / "last.ckpt")["talksplat"]
    assert kept["step"] == 6 and kept["mode"] == "joint" and kept["num_gaussians"] != 400
    monkeypatch.setattr(TalkingHeadModule, "training_step", step)
    train(small_config(tiny_subject, *JOINT, "resume=true"), tmp_path)
    first, second = (weights(read_checkpoint(path / "last.ckpt")) for path in (whole, tmp_path))
    assert first.keys() == second.keys()
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_a_stage_may_follow(tiny_subject: Path, tmp_path: Path) -> None:
    """It begins with the head that the joint stage ended with."""
    order = ("stage.order=[joint,fine]", "stage.stages.fine.learning_rates.means=[1e-12]")
    rates = [
        f"stage.stages.fine.learning_rates.{name}=[0.0]" for name in ("scales", "quats", "opacities", "sh0", "shN")
    ]
    still = [*rates, *(f"stage.stages.fine.learning_rates.{name}=[0.0]" for name in ("networks", "triplane"))]
    joint_rates = ["stage.stages.joint.learning_rates={_target_:talksplat.training.stage.LearningRates}"]
    train(small_config(tiny_subject, *JOINT, *order, *still, *joint_rates), tmp_path)
    conditions = frames(tiny_subject)
    joint = means_and_colors(tmp_path / "stages" / "01_joint" / "last.ckpt", conditions, "joint")
    fine = means_and_colors(tmp_path / "stages" / "02_fine" / "last.ckpt", conditions, "deform")
    torch.testing.assert_close(joint, fine)
