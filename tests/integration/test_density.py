"""Every kind of density control trains, in static and in deform stages, and resumes to the same bits."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig, OmegaConf

from talksplat.checkpoint import read_checkpoint
from talksplat.config import CONF_DIR, compose
from talksplat.errors import UserError
from talksplat.training.module import TalkingHeadModule
from talksplat.training.run import TrainingRun
from tests.helpers.runs import small_overrides, weights

CHOICES = sorted(path.stem for path in (CONF_DIR / "density").glob("*.yaml"))
START = 400  # points of the tiny subject
STAGES = {"coarse": "01_coarse", "fine": "02_fine"}
MCMC = ["start=1", "stop=7", "every=2", "growth=0.1", "max_gaussians=480"]
TWO = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.threads=1"]


def config(subject: Path, stage: str, choice: str, *extra: str) -> DictConfig:
    """A short run with this density control in one stage, and none in the other."""
    overrides = [text for text in small_overrides(subject) if ".density." not in text]
    other = "fine" if stage == "coarse" else "coarse"
    groups = [f"density@stage.stages.{stage}.density={choice}", f"density@stage.stages.{other}.density=none"]
    return compose("train", [*overrides, *groups, "model.canonical.factors=[sh]", *extra])


def settings(stage: str, *values: str) -> list[str]:
    return [f"stage.stages.{stage}.density.{value}" for value in values]


def trained(run_config: DictConfig, run_dir: Path) -> Path:
    """A run of which only the training is wanted."""
    run = TrainingRun(run_config, run_dir)
    with run.opened():
        run.train()
    return run_dir


def count(run_dir: Path, stage: str) -> int:
    return read_checkpoint(run_dir / "stages" / STAGES[stage] / "last.ckpt")["talksplat"]["num_gaussians"]


@pytest.mark.parametrize(
    ("choice", "stage"), [*((name, "coarse") for name in CHOICES), *((name, "fine") for name in ("gsplat", "mcmc"))]
)
def test_every_choice_takes_steps(choice: str, stage: str, tiny_subject: Path, tmp_path: Path) -> None:
    run_config = config(tiny_subject, stage, choice)
    density = run_config.stage.stages[stage].density
    quick = {"start": 1, "prune_start": 1, "size_prune_start": 1, "stop": 7, "every": 2, "grad_threshold": 1e-7}
    for name, value in (quick | {"growth": 0.1, "max_gaussians": 430}).items():
        if density and density.get(name) is not None:
            density[name] = value
    run_dir = trained(run_config, tmp_path / "run")
    assert (count(run_dir, stage) == START) == (choice == "none")
    last = weights(read_checkpoint(run_dir / "last.ckpt"))
    assert all(torch.isfinite(value).all() for value in last.values() if value.is_floating_point())
    assert len(last["model.layers.face.gaussians.params.means"]) == count(run_dir, "fine")
    if choice == "mcmc":
        assert count(run_dir, stage) == 430, "the cap"


def test_opacity_reset_and_absolute_gradients_train(tiny_subject: Path, tmp_path: Path) -> None:
    values = ["start=1", "prune_start=1", "stop=9", "every=2", "grad_threshold=1e-7"]
    extra = settings("coarse", *values, "absgrad=true", "opacity_reset_every=5")
    run_config = config(tiny_subject, "coarse", "adaptive", *extra, "rasterizer=torch", "stage.order=[coarse]")
    run_dir = trained(run_config, tmp_path / "run")
    assert count(run_dir, "coarse") > START
    opacities = weights(read_checkpoint(run_dir / "last.ckpt"))[
        "model.layers.face.gaussians.params.opacities"
    ].sigmoid()
    assert opacities.max() < 0.05, "from 0.1 to 0.01 at step 5, and six steps up from there"


@pytest.mark.parametrize("stage", ["coarse", "fine"])
def test_mcmc_resumes_to_the_same_bits(
    stage: str, tiny_subject: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped at step 5, after the checkpoint of step 3 and another refinement."""
    step = TalkingHeadModule.training_step

    def stopped(module: TalkingHeadModule, batch, batch_idx):
        if module.stage_name == stage and module.global_step == 5:
            raise RuntimeError("power cut")
        return step(module, batch, batch_idx)

    whole = trained(config(tiny_subject, stage, "mcmc", *settings(stage, *MCMC)), tmp_path / "whole")
    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="power cut"):
        patch.setattr(TalkingHeadModule, "training_step", stopped)
        trained(config(tiny_subject, stage, "mcmc", *settings(stage, *MCMC)), tmp_path / "cut")
    assert START < count(tmp_path / "cut", stage) < 480
    trained(config(tiny_subject, stage, "mcmc", *settings(stage, *MCMC), "resume=true"), tmp_path / "cut")
    first, second = (weights(read_checkpoint(path / "last.ckpt")) for path in (whole, tmp_path / "cut"))
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


@pytest.mark.slow
def test_mcmc_is_alike_in_two_processes(tiny_subject: Path, tmp_path: Path) -> None:
    """Density control itself compares the processes after each refinement; noise that differed would show there."""
    threads = torch.get_num_threads()
    values = settings("coarse", *MCMC)
    first = trained(config(tiny_subject, "coarse", "mcmc", *values, *TWO), tmp_path / "first")
    second = trained(config(tiny_subject, "coarse", "mcmc", *values, *TWO), tmp_path / "second")
    torch.set_num_threads(threads)
    assert count(first, "coarse") == 480
    one, other = (weights(read_checkpoint(path / "last.ckpt")) for path in (first, second))
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_a_run_of_an_older_version_resumes(tiny_subject: Path, tmp_path: Path) -> None:
    """Its configuration had no schedule, and switched size pruning off by a step that never came."""
    TrainingRun(compose("train", small_overrides(tiny_subject)), tmp_path / "run").folder.open()
    saved = OmegaConf.load(tmp_path / "run" / "config.yaml")
    for stage in saved.stage.stages.values():
        del stage.learning_rates.schedule
    density = saved.stage.stages.coarse.density
    for name in ("opacity_reset_every", "opacity_reset_value", "absgrad"):
        del density[name]
    density.max_scale, density.size_prune_start = 0.1, 1000
    OmegaConf.save(saved, tmp_path / "run" / "config.yaml")
    TrainingRun(compose("train", small_overrides(tiny_subject, "resume=true")), tmp_path / "run")
    density.size_prune_start = 7
    OmegaConf.save(saved, tmp_path / "run" / "config.yaml")
    with pytest.raises(UserError, match="max_scale was 0.1 and is now null"):
        TrainingRun(compose("train", small_overrides(tiny_subject, "resume=true")), tmp_path / "run")
