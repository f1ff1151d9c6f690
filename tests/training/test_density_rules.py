"""Settings of density control that cannot act: an error or a warning with the remedy, before anything is trained."""

from __future__ import annotations

import logging

import pytest
import torch

from talksplat.config import CONF_DIR, compose
from talksplat.errors import UserError
from talksplat.rasterizer import AutoRasterizer, GsplatRasterizer, NumbaRasterizer, TorchRasterizer
from talksplat.training.density.adaptive import AdaptiveDensity
from talksplat.training.stage import LearningRates, Stage, StagePlan, check_absgrad

COARSE = "stage.stages.coarse.density"
EXPLICIT = "model.canonical.factors=[sh]"


@pytest.mark.parametrize("preset", sorted(path.stem for path in (CONF_DIR / "stage").glob("*.yaml")))
def test_presets_satisfy_the_rules(preset: str, caplog: pytest.LogCaptureFixture) -> None:
    compose("train", [f"stage={preset}"])
    assert not [record.message for record in caplog.records if "stage.stages" in record.message]


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        ([f"{COARSE}.start=1200"], [f"{COARSE}.start=1200", "stop=1200", "nothing would grow"]),
        ([f"{COARSE}.every=0"], [f"{COARSE}.every", "at least 1"]),
        ([f"{COARSE}.size_prune_start=600"], [f"{COARSE}.size_prune_start=600", f"set {COARSE}.max_scale", "0.1"]),
        ([f"{COARSE}.opacity_reset_every=500"], ["opacity_reset_every=500", "take opacities out of model.canonical"]),
        ([f"{COARSE}.opacity_reset_every=1200", EXPLICIT], ["opacity_reset_every=1200", "1200", "null: never"]),
        (
            [f"{COARSE}.opacity_reset_every=300", f"{COARSE}.opacity_reset_value=0.004", EXPLICIT],
            ["opacity_reset_value=0.004", "min_opacity=0.005"],
        ),
        ([f"density@{COARSE}=mcmc"], [COARSE, "opacities", EXPLICIT]),
        (
            [f"density@{COARSE}=mcmc", "model.canonical.factors=[sh,scales]", "experiment=gaussiantalker/joint"],
            ["stage.stages.joint.density", "scales", EXPLICIT],
        ),
        ([f"{COARSE}=adaptive"], [f"density@{COARSE}=adaptive"]),
    ],
)
def test_what_cannot_be_is_refused(overrides: list[str], parts: list[str]) -> None:
    with pytest.raises(UserError) as error:
        compose("train", ["stage=default", *overrides])
    for part in parts:
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (["stage.stages.coarse.steps=1000"], [f"{COARSE}.stop=1200", "1000 steps", "set it to 800 or less"]),
        (["stage.stages.coarse.steps=200"], [f"{COARSE}.start=300", "nothing will grow", "choose none"]),
        (
            [f"{COARSE}.max_scale=0.1", f"{COARSE}.size_prune_start=100000"],
            [f"{COARSE}.max_scale=0.1 can never act", "set max_scale to null"],
        ),
        (
            [f"density@{COARSE}=gsplat", f"{COARSE}.size_prune_start=3000"],
            [f"{COARSE}.prune_scale can never act", "null for never"],
        ),
        (
            ["stage.stages.coarse.sh_degree_every=700"],
            ["stage.stages.coarse.sh_degree_every=700", "none has degree 3", "set it to 499 or less"],
        ),
    ],
)
def test_what_never_acts_is_told(overrides: list[str], parts: list[str], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        compose("train", ["stage=default", *overrides])
    told = [record.message for record in caplog.records if all(part in record.message for part in parts)]
    assert len(told) == 1 and "\n" not in told[0], caplog.text


def test_the_highest_degree_is_reached_where_the_warning_says(caplog: pytest.LogCaptureFixture) -> None:
    config = compose("train", ["stage=default", "stage.stages.coarse.sh_degree_every=499"])
    assert "sh_degree_every" not in caplog.text
    stage = Stage("canonical", config.stage.stages.coarse.steps, 1, LearningRates(), sh_degree_every=499)
    assert stage.sh_degree(stage.steps - 1, 3) == 3


def test_density_in_a_deform_stage_may_have_any_factors() -> None:
    config = compose("train", ["density@stage.stages.fine.density=mcmc"])
    density, steps = config.stage.stages.fine.density, config.stage.stages.fine.steps
    assert (density.start, density.stop) == (steps * 0.1, steps * 0.8), "the window is a share of the stage"


@pytest.mark.parametrize(
    ("rasterizer", "device", "works"),
    [
        (TorchRasterizer, "cpu", True),
        (NumbaRasterizer, "cpu", False),
        (AutoRasterizer, "cpu", False),
        (AutoRasterizer, "cuda", True),
        (GsplatRasterizer, "cuda", True),
    ],
)
def test_absgrad_wants_a_rasterizer_that_has_it(rasterizer: type, device: str, works: bool) -> None:
    def check(absgrad: bool) -> None:
        stage = Stage("canonical", 10, 1, LearningRates(), AdaptiveDensity(absgrad=absgrad))
        check_absgrad(StagePlan(["coarse"], {"coarse": stage}, True, ""), rasterizer(), torch.device(device))

    check(absgrad=False)
    if works:
        check(absgrad=True)
    else:
        with pytest.raises(UserError, match=r"coarse\.density\.absgrad=true.*rasterizer=gsplat.*rasterizer=torch"):
            check(absgrad=True)
