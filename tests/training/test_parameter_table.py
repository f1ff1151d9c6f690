"""Names of parameters, and what a stage trains of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from talksplat.errors import UserError
from talksplat.training.density.adaptive import AdaptiveDensity
from talksplat.training.density.layers import LayerDensity
from talksplat.training.optimizers import KINDS, Optimizers
from talksplat.training.overview import check_stages, overview
from talksplat.training.parameter_table import ParameterTable
from talksplat.training.run import TrainingRun
from talksplat.training.stage import LearningRates, Stage, StagePlan
from tests.helpers.runs import small_config
from tests.models.building import build, set_up, subject_of
from tests.proofs.test_proofs import OWN


@pytest.fixture
def model():
    return set_up(build())


def stage(**changes) -> Stage:
    return Stage(**{"mode": "deform", "steps": 10, "batch_size": 2, "learning_rates": LearningRates(), **changes})


def test_a_stage_trains_what_its_globs_match(model):
    table = ParameterTable(model)
    trained = {entry.name for entry in table.apply(stage(train=["face.means", "shared.tokens.networks.*"]))}
    assert "face.means" in trained and "face.scales" not in trained
    assert all(name == "face.means" or name.startswith("shared.tokens.networks.") for name in trained)
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    assert "layers.face.triplane.planes.0" in frozen and "layers.face.gaussians.params.means" not in frozen
    assert {entry.name for entry in table.apply(stage())} == {entry.name for entry in table.entries()}
    assert all(parameter.requires_grad for parameter in model.parameters())  # the next stage opens them again


def test_rates_of_single_parameters(model):
    rates = LearningRates(means=[1e-3], networks=[1e-4], rates={"face.means": [2e-3, 2e-5], "shared.*": [7e-4]})
    chosen = stage(learning_rates=rates)
    optimizers = Optimizers(ParameterTable(model).apply(chosen), chosen, {"subject": 1.0}, torch.device("cpu"))
    optimizers.set_learning_rates(0)
    found = optimizers.learning_rates()
    assert found["means"] == 2e-3 and found["networks"] == 1e-4
    assert {rate for name, rate in found.items() if "shared." in name} == {7e-4}
    optimizers.set_learning_rates(10)
    assert optimizers.learning_rates()["means"] == pytest.approx(2e-5)


GLOBS = {"shared.tokens.networks.*": [7e-4], "face.*.weight": [3e-4, 1e-5], "face.triplane.planes.0": [2e-3]}


def test_a_glob_is_one_group(model):
    rates = LearningRates(rates=GLOBS)
    chosen = stage(learning_rates=rates)
    entries = ParameterTable(model).apply(chosen)
    optimizers = Optimizers(entries, chosen, {"subject": 1.0}, torch.device("cpu"))
    groups = {group["name"]: group["params"] for group in optimizers.networks.param_groups}
    assert list(groups) == [
        "networks",
        "networks of face.*.weight",
        "networks of shared.tokens.networks.*",
        "triplane",
        "triplane of face.triplane.planes.0",
    ]
    assert sum(map(len, groups.values())) == sum(not entry.is_gaussian for entry in entries)
    by_name = {entry.name: entry.parameter for entry in entries}
    assert [id(by_name["face.triplane.planes.0"])] == [*map(id, groups["triplane of face.triplane.planes.0"])]


def older_optimizer(entries, chosen: Stage) -> torch.optim.Adam:
    """As version 0.1 made it: a group for each name that `rates` match, sorted by kind and name."""
    groups: dict = {}
    for entry in (entry for entry in entries if not entry.is_gaussian):
        glob = chosen.learning_rates.rate_of(entry.name)
        key = KINDS.index(entry.kind), entry.kind if glob is None else f"{entry.kind} of {entry.name}"
        groups.setdefault(key, []).append(entry.parameter)
    return torch.optim.Adam([{"name": key[1], "params": groups[key]} for key in sorted(groups)], lr=0.0, eps=1e-15)


@pytest.mark.parametrize("people", [["subject"], ["zoe", "ben", "carla"]])
@pytest.mark.parametrize("globs", [GLOBS, {"*.weight": [1e-3], "*.bias": [2e-3]}, None])
def test_moments_of_older_runs_stay_with_their_parameters(people, globs):
    model = build(overrides=("model.personal=[layers.face.deformation.*]",))
    model.setup_subjects([replace(subject_of(60), name=name) for name in people])
    chosen = stage(learning_rates=LearningRates(rates=globs, scale="camera_spread"))
    entries = ParameterTable(model).apply(chosen)
    older = older_optimizer(entries, chosen)
    for number, group in enumerate(older.param_groups):
        for place, parameter in enumerate(group["params"]):
            value = torch.full_like(parameter, number + place / 1000)
            older.state[parameter] = {"step": torch.tensor(5.0), "exp_avg": value, "exp_avg_sq": value + 1}
    spread = {name: 1.0 + number for number, name in enumerate(people)}
    optimizers = Optimizers(entries, chosen, spread, torch.device("cpu"))
    today = [group["name"] for group in optimizers.networks.param_groups]
    optimizers.networks.load_state_dict(older.state_dict())
    assert [group["name"] for group in optimizers.networks.param_groups] == today
    assert len(optimizers.networks.state) == sum(not entry.is_gaussian for entry in entries)
    for parameter, state in optimizers.networks.state.items():
        assert all(torch.equal(state[key], older.state[parameter][key]) for key in ("exp_avg", "exp_avg_sq", "step"))
    again = Optimizers(entries, chosen, spread, torch.device("cpu"))
    again.networks.load_state_dict(optimizers.networks.state_dict())  # as a run of today resumes
    assert all(
        torch.equal(again.networks.state[parameter]["exp_avg"], state["exp_avg"])
        for parameter, state in optimizers.networks.state.items()
    )


def test_what_is_fitted_to_a_person_follows_the_spread_of_its_cameras():
    model = build()
    model.setup_subjects([replace(subject_of(60), name=name) for name in ("zoe", "ben")])
    rates = LearningRates(means=[1e-4], triplane=[1e-3], networks=[1e-5], scale="camera_spread")
    for scale, expected in (("camera_spread", {"zoe": 2.0, "ben": 4.0}), (3.0, {"zoe": 3.0, "ben": 3.0})):
        chosen = stage(learning_rates=replace(rates, scale=scale))
        entries = ParameterTable(model).apply(chosen)
        optimizers = Optimizers(entries, chosen, {"zoe": 2.0, "ben": 4.0}, torch.device("cpu"))
        optimizers.set_learning_rates(0)
        rate = {id(p): group["lr"] for group in optimizers.networks.param_groups for p in group["params"]}
        planes = [entry for entry in entries if entry.kind == "triplane"]
        assert {entry.subject for entry in planes} == {"zoe", "ben"}
        assert all(rate[id(entry.parameter)] == pytest.approx(1e-3 * expected[entry.subject]) for entry in planes)
        shared = [entry for entry in entries if entry.kind == "networks"]
        assert all(rate[id(entry.parameter)] == pytest.approx(3e-5) for entry in shared)  # the mean
        assert len(optimizers.networks.param_groups) == (3 if scale == "camera_spread" else 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": ["mouth.*"]}, r"no parameter matches 'mouth\.\*'.*face\.means"),
        ({"train": []}, "leaves nothing to train"),
        ({"learning_rates": LearningRates(rates={"nose.*": [1e-3]})}, r"no parameter matches 'nose\.\*'"),
        (
            {"learning_rates": LearningRates(rates={"face.means": [1e-3], "face.*": [1e-4]})},
            r"'face\.means' and 'face\.\*' both match face\.means",
        ),
    ],
)
def test_globs_that_cannot_be_meant(model, changes, message):
    with pytest.raises(UserError, match=message):
        ParameterTable(model).apply(stage(**changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": ["face.means"]}, r"does not train face\.scales"),
        ({"density": {"mouth": AdaptiveDensity()}}, "density names 'mouth', but the avatar's layers are face"),
    ],
)
def test_density_control_of_what_is_frozen_or_absent(model, changes, message):
    chosen = stage(**{"density": AdaptiveDensity(), **changes})
    with pytest.raises(UserError, match=message):
        LayerDensity(model, chosen, ParameterTable(model).apply(chosen), {"subject": 1.0})


def test_every_layer_has_a_strategy_of_its_own(model):
    chosen = stage(density={"face": AdaptiveDensity(start=1, stop=9)})
    density = LayerDensity(model, chosen, ParameterTable(model).apply(chosen), {"subject": 2.0})
    control = density.controls["subject"]["face"]
    assert control is not chosen.density["face"] and control.scene_scale == 2.0
    assert density.active(3) == {"face": control} and density.active(9) == {}
    assert density.state_dict().keys() == {"face"}


def test_the_overview_says_what_each_stage_trains(model):
    plan = StagePlan(["fine"], {"fine": stage(train=["face.*"], deforms={"face": ["means"]})}, True, "")
    text = overview(plan, model, ParameterTable(model), "mel", 1)
    assert "GaussianTalker on audio=mel" in text and "subject subject: Gaussians of face 60" in text
    assert "face: deformed: means; density control: none" in text
    lines = {line.split()[0]: line for line in text.splitlines() if line.strip()}
    assert "idle" in lines["face.canonical"]  # the explicit attributes count in mode deform
    assert "frozen" in lines["shared.tokens"] and "0.00016 to 1.6e-06" in lines["face.means"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": "face.*"}, "train of a stage is a list of globs"),
        ({"deforms": ["face"]}, r"deforms of a stage is \{layer: \[attributes\]\}"),
        ({"deforms": {"face": "means"}}, r"deforms of a stage is \{layer: \[attributes\]\}"),
    ],
)
def test_settings_of_another_shape(changes, message):
    with pytest.raises(UserError, match=message):
        stage(**changes)


@pytest.mark.parametrize("rates", [{"face.means": 1e-4}, {"face.means": None}, {"face.means": ["a"]}, ["face.means"]])
def test_rates_of_another_shape(rates):
    with pytest.raises(UserError, match="learning_rates.rates"):
        LearningRates(rates=rates)


def test_a_stage_without_any_gradient_is_an_error(model):
    plan = StagePlan(["coarse"], {"coarse": stage(mode="canonical", train=["shared.*"])}, True, "")
    with pytest.raises(UserError, match="coarse trains only what takes no part in mode canonical .shared.tokens"):
        check_stages(plan, model, ParameterTable(model), {"subject": 1.0})


def test_epsilon_of_networks_leaves_that_of_gaussians(model):
    chosen = stage(learning_rates=LearningRates(network_eps=1e-8))
    optimizers = Optimizers(ParameterTable(model).apply(chosen), chosen, {"face": 1.0}, torch.device("cpu"))
    assert {group["eps"] for group in optimizers.networks.param_groups} == {1e-8}
    assert {group["eps"] for adam in optimizers.gaussians.values() for group in adam.param_groups} == {1e-15}
    with pytest.raises(UserError, match="network_eps"):
        LearningRates(network_eps=0.0)


DEFORMS = "stage.stages.fine.deforms={face: [%s]}"
MEANS_ONLY = "model.deformation.attributes=[means]"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([MEANS_ONLY, DEFORMS % "sh"], r"stages\.fine\.deforms: .* face outputs means, and not sh"),
        (
            [
                MEANS_ONLY,
                "model.deformation.attributes=[quats]",
                "model.motion=null",
                "model.expression=null",
                DEFORMS % "means",
            ],
            "face outputs quats, and not means",
        ),
        (["model=static", DEFORMS % "means, opacities"], "face outputs nothing, and not means, opacities"),
        (
            ["model=mouth_and_face", OWN, "stage.stages.fine.deforms={mouth: [opacities,sh]}"],
            "mouth outputs means, and not opacities, sh",
        ),
    ],
)
def test_deformed_attributes_that_no_deformation_outputs(tiny_subject, tmp_path, overrides, message):
    with pytest.raises(UserError, match=message):
        TrainingRun(small_config(tiny_subject, *overrides), tmp_path / "run")


def test_deformed_attributes_of_which_some_are_output(tiny_subject, tmp_path, caplog):
    run = TrainingRun(small_config(tiny_subject, MEANS_ONLY, DEFORMS % "means, sh"), tmp_path / "run")
    assert "face outputs means, and not sh, which has no effect" in caplog.text
    assert run.model.training and run.plan.stages["fine"].deforms == {"face": ["means", "sh"]}
    caplog.clear()
    TrainingRun(small_config(tiny_subject, DEFORMS % ""), tmp_path / "rest")  # at rest on purpose
    assert "has no effect" not in caplog.text
