"""Every configuration composes, and every mistake is named with its full path."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from talksplat.config import CONF_DIR, compose, instantiate
from talksplat.errors import UserError
from tests.config.test_experiments import ROWS

GROUPS = ("audio", "dataset", "loss", "model", "rasterizer", "stage", "tracker", "trainer")
PARTS = tuple(f"model/{path.name}" for path in sorted((CONF_DIR / "model").iterdir()) if path.is_dir())


def choices(group: str) -> list[str]:
    """Names of the files of a group, those of `experiment` with their folder."""
    folder = CONF_DIR / group
    files = folder.rglob("*.yaml") if group == "experiment" else folder.glob("*.yaml")
    return sorted(str(path.relative_to(folder).with_suffix("")) for path in files)


@pytest.mark.parametrize("choice", [f"{group}={name}" for group in (*GROUPS, *PARTS) for name in choices(group)])
def test_every_choice_composes(choice: str, tiny_subject: Path) -> None:
    overrides = [choice]
    if choice == "dataset=portrait":
        overrides.append(f"dataset.root={tiny_subject}")
    config = compose("train", overrides)
    assert config.stage.order


@pytest.mark.parametrize("stage", ["coarse", "fine"])
@pytest.mark.parametrize("name", choices("density"))
def test_every_density_composes_in_every_stage(name: str, stage: str) -> None:
    overrides = [f"density@stage.stages.{stage}.density={name}", "model.canonical.factors=[sh]", "stage=paper"]
    config = compose("train", overrides)
    density = config.stage.stages[stage].density
    assert (density is None) == (name == "none")
    assert config.chosen.groups[f"density@stage.stages.{stage}.density"] == name


@pytest.mark.parametrize("name", choices("schedule"))
def test_every_schedule_composes(name: str) -> None:
    schedule = "stage.stages.fine.learning_rates.schedule"
    config = compose("train", [f"schedule@{schedule}={name}", "stage.stages.fine.learning_rates.horizon=50"])
    rates = instantiate(config.stage).stages["fine"].learning_rates
    assert rates.at("means", 0, 100, 1.0) == pytest.approx(1.6e-4)
    assert rates.at("means", 50, 100, 1.0) == pytest.approx(1.6e-4 if name == "constant" else 1.6e-6)


@pytest.mark.parametrize("name", [name for name in choices("experiment") if name not in ROWS])
def test_every_experiment_composes(name: str) -> None:
    base = "gaussiantalker/paper," if name == "gaussiantalker/as_published" else ""
    assert compose("train", [f"experiment=[{base}{name}]"]).stage.order


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (["modle=x"], ["modle", "did you mean 'model'"]),
        (["stage.stages.fine.step=3"], ["did you mean 'stage.stages.fine.steps'"]),
        (
            ["experiment=gaussiantalker/no_eye", "experiment=gaussiantalker/no_audio"],
            ["given twice", "no_eye,gaussian"],
        ),
        (["model/attention=fusion"], ["model/attention/fusion", "concatenation, elementwise, mha"]),
        (["experiment=egstalker/no_pe"], ["did you mean 'egstalker/no_ppe'", "gaussiantalker/joint"]),
        (
            ["experiment=egstalker/paper", "model=gaussiantalker"],
            ["experiment=egstalker/paper", "model=gaussiantalker"],
        ),
        (["experiment=gaussiantalker/paper", "model=egstalker"], ["model=gaussiantalker", "model=egstalker"]),
        (["model=nerf"], ["model/nerf", "gaussiantalker", "static"]),
        (["stage.stages.coarse.stpes=3"], ["stage.stages.coarse.stpes"]),
        (["+stage.stages.coarse.stpes=3"], ["stage.stages.coarse.stpes", "'steps'"]),
        (["+model.cross_attention.num_layer=2"], ["model.cross_attention.num_layer", "'num_layers'"]),
        (["seed=abc"], ["seed"]),
        (["dataset=portrait"], ["dataset.root"]),
        (["dataset=portrait", "dataset.root=/no/such/folder"], ["/no/such/folder", "talksplat.preprocess"]),
        (["stage.order=[fine,coarse]"], ["canonical", "coarse"]),
        (["stage.order=[coarse,finer]"], ["finer", "fine"]),
        (["stage.stages.coarse.density.start=900"], ["density.start", "density.stop"]),
        (["stage.stages.coarse.density=adaptive"], ["density", "_target_", "'adaptive'"]),
        (["+loss.l1.stages=[middle]"], ["loss.l1.stages", "middle"]),
        (["evaluation.lpips_net=squeeze"], ["evaluation.lpips_net"]),
        (["model.tokens.audio.encoder.width=44"], ["model.tokens.audio.encoder.width", "44", "32"]),
        (["checkpoint=/no/such.ckpt"], ["/no/such.ckpt"]),
        (["paths.assets=/no/such"], ["/no/such", "TALKSPLAT_ASSETS"]),
    ],
)
def test_mistakes_are_named(overrides: list[str], parts: list[str]) -> None:
    with pytest.raises(UserError) as error:
        compose("train", overrides)
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_misspelt_key_inside_an_experiment_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hydra merges such a key silently; the check against the constructor finds it."""
    conf = tmp_path / "conf"
    shutil.copytree(CONF_DIR, conf)
    (conf / "experiment" / "typo.yaml").write_text(
        "# @package _global_\nmodel:\n  cross_attention:\n    mixer:\n      num_heds: 4\n"
    )
    monkeypatch.setattr(sys.modules["talksplat.config.compose"], "CONF_DIR", conf)
    with pytest.raises(UserError, match=r"model\.cross_attention\.mixer\.num_heds.*did you mean 'num_heads'"):
        compose("train", ["experiment=typo"])


def test_audio_width_reaches_the_model() -> None:
    config = compose("train", ["audio=deepspeech"])
    assert config.model.tokens.audio.encoder.width == 29
    assert config.dataset.loader.audio_width == 29


def test_experiments_stack() -> None:
    config = compose("train", ["experiment=[demo,gaussiantalker/paper]"])
    assert config.model.triplane.margin == 1.0


def test_what_was_chosen_is_recorded() -> None:
    stacked = ["experiment=[demo,gaussiantalker/paper]", "model=gaussiantalker", "seed=3"]
    chosen = compose("train", stacked).chosen
    assert chosen.experiments == ["demo", "gaussiantalker/paper"] and chosen.overrides == stacked
    assert chosen.groups.model == "gaussiantalker"
    assert chosen.groups.stage == "paper", "the choice that an experiment made"
    assert compose("train", ["experiment=demo", "model=static"]).chosen.experiments == ["demo"]
    assert compose("train", []).chosen.experiments == []
    assert "chosen" not in compose("compare", ["runs=a"])


def test_motion_lags_must_be_positive_and_the_same_for_data_and_model():
    with pytest.raises(UserError, match="must be positive"):
        compose("train", ["dataset.motion_lags=[0.1,-0.1]"])
    with pytest.raises(UserError, match="model.motion.lags is"):
        compose("train", ["model.motion.lags=[1.0]"])
