"""Layers, compositors and the states of several people."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from talksplat.config import instantiate
from talksplat.errors import UserError
from talksplat.models.avatar import Avatar
from talksplat.models.compositor import Over, Together, drawing
from talksplat.models.layer import GaussianLayer
from talksplat.models.model_size import model_size
from talksplat.models.subject_states import personal_names
from talksplat.rasterizer.torch_rasterizer import TorchRasterizer
from tests.models.building import build, configure, make_conditions, set_up, sphere, subject_of

SIZE = 32


def layer(shift: float, count: int = 30, color: float = 0.0) -> GaussianLayer:
    """A static ball at z = shift (dm) of one colour."""
    parts = configure("static", ("model.canonical.factors=[]", "model.gaussians.sh_degree=0"))
    made = instantiate(parts.model).face
    made.fit(replace(subject_of(count), vertices=0.5 * sphere(count) + torch.tensor([0.0, 0.0, shift])))
    with torch.no_grad():
        made.gaussians.params["opacities"].fill_(4.0)
        made.gaussians.params["sh0"].fill_(color)
    return made


def drawn(avatar: Avatar, background: float = 0.5):
    conditions = make_conditions(2)
    conditions.Ks = conditions.Ks * torch.tensor([SIZE / 512, SIZE / 512, 1.0])[:, None]
    gaussians = avatar(conditions, "deform", 0)
    draw = drawing(TorchRasterizer(), conditions, SIZE, SIZE)
    plate = torch.full((2, SIZE, SIZE, 3), background)
    return avatar.compositor(draw, gaussians, avatar.parts(), plate)


def test_layers_lie_one_after_another():
    avatar = Avatar({"a": layer(0.0, 30), "b": layer(1.0, 20)})
    assert avatar.num_gaussians == 50 and avatar.parts() == {"a": slice(0, 30), "b": slice(30, 50)}
    gaussians = avatar(make_conditions(3), "deform", 0)
    assert gaussians.means.shape == (3, 50, 3)
    assert torch.equal(gaussians.part(slice(30, 50)).means[0], avatar.layers["b"].gaussians.params["means"])


def test_together_sorts_by_depth_and_over_by_order():
    light, dark = layer(0.0, color=1.5), layer(0.003, 40, color=-1.5)
    by_depth = drawn(Avatar({"light": light, "dark": dark}))[0].image
    swapped = drawn(Avatar({"dark": dark, "light": light}))[0].image
    assert torch.allclose(by_depth, swapped, atol=1e-5)
    dark_last = drawn(Avatar({"light": light, "dark": dark}, compositor=Over(["light", "dark"])))[0]
    light_last = drawn(Avatar({"light": light, "dark": dark}, compositor=Over(["dark", "light"])))[0]
    middle = slice(SIZE // 2 - 1, SIZE // 2 + 1)
    assert dark_last.image[:, middle, middle].mean() + 0.3 < light_last.image[:, middle, middle].mean()
    assert torch.allclose(dark_last.transmittance, light_last.transmittance, atol=1e-5)  # of both in either order


def test_over_is_the_last_layer_over_the_image_of_the_others():
    back, front = layer(0.0, color=1.0), layer(0.2, 25, color=-1.0)
    output, views = drawn(Avatar({"back": back, "front": front}, compositor=Over(["back", "front"])))
    behind = drawn(Avatar({"back": back}))[0].image
    front_alone = drawn(Avatar({"front": front}), background=0.0)[0]
    expected = front_alone.image + front_alone.transmittance[..., None] * behind
    assert torch.allclose(output.image, expected, atol=1e-5)
    assert views["front"].output.radii.shape[1] == 25 and views["front"].part == slice(None)


@pytest.mark.parametrize("compositor", [Together(), Over(["a", "b"])])
def test_each_layer_sees_its_own_gradients(compositor):
    avatar = Avatar({"a": layer(0.0, 30, 1.0), "b": layer(0.1, 20, -1.0)}, compositor=compositor)
    output, views = drawn(avatar)
    for view in views.values():
        view.retain_grad()
    output.image.square().sum().backward()
    for name, count in (("a", 30), ("b", 20)):
        seen = views[name].seen()
        assert seen.means2d.shape == seen.means2d.grad.shape == (2, count, 2) and seen.radii.shape == (2, count, 2)
        assert seen.means2d.grad.abs().sum() > 0


def test_settings_that_name_no_layer_are_errors():
    avatar = Avatar({"a": layer(0.0), "b": layer(1.0)}, compositor=Over(["a"]))
    with pytest.raises(UserError, match=r"compositor\.order=\['a'\] must name each of the layers a, b once"):
        drawn(avatar)
    with pytest.raises(UserError, match="deforms names 'mouth'.* a, b"):
        avatar.restrict({"mouth": ["means"]})
    with pytest.raises(UserError, match="'colour' is not one of means"):
        avatar.restrict({"a": ["colour"]})
    with pytest.raises(UserError, match="at least one layer"):
        Avatar({})


def test_a_stage_deforms_the_listed_attributes_only():
    model = set_up(build()).eval()
    conditions = make_conditions(2)
    everything = model(conditions, "deform", 3)
    model.restrict({"face": ["opacities"]})
    some = model(conditions, "deform", 3)
    assert torch.equal(some.opacities, everything.opacities) and not torch.equal(some.means, everything.means)
    assert torch.equal(some.means[0], model.gaussians.params["means"])
    model.restrict({"face": []})
    assert torch.equal(model(conditions, "deform", 3).opacities[0], model.gaussians.params["opacities"].sigmoid())
    model.restrict(None)
    assert torch.equal(model(conditions, "deform", 3).means, everything.means)


# Several people.


def people(count: int = 60):
    one = replace(subject_of(count), name="one")
    other = replace(subject_of(count + 10), name="other", viewmats=make_conditions(15, seed=3).viewmats)
    return [one, other]


def of(name: str):
    return replace(make_conditions(2), subject=name)


def test_each_has_gaussians_of_their_own_and_networks_are_common():
    model = build()
    model.setup_subjects(people())
    assert model.layer_sizes() == {"one": {"face": 60}, "other": {"face": 70}}
    model(of("other"), "deform", 3).means.square().sum().backward()
    own = [tensor for _, _, tensor in model.subjects.waiting()]
    assert model.subjects.bound == "other" and model.gaussians.params["means"].grad is not None
    assert all(getattr(tensor, "grad", None) is None for tensor in own)
    shared = model.shared["tokens"].networks["camera"][0].weight
    assert shared.grad is not None
    model(of("one"), "deform", 3)
    assert model.gaussians.params["means"].grad is None and model.num_gaussians == 60
    assert model.shared["tokens"].networks["camera"][0].weight is shared


def test_what_is_personal_is_what_a_person_was_measured_for():
    model = build()
    model.setup_subjects(people())
    names = personal_names(model)
    assert "layers.face.gaussians.params.means" in names and "layers.face.triplane.planes.0" in names
    assert "shared.tokens.sources.camera.mean" in names and "layers.face.deformation.reach.center" in names
    assert not any("networks" in name or "cross_attention" in name for name in names)
    mean = {}
    for name in ("one", "other"):
        model.bind(name)
        mean[name] = model.shared["tokens"].sources["camera"].mean.clone()
    assert not torch.equal(mean["one"], mean["other"])


def test_more_can_be_made_personal():
    model = build(overrides=("model.personal=[layers.face.deformation.heads.*]",))
    model.setup_subjects(people())
    weight = "layers.face.deformation.heads.heads.hidden.weight"
    assert weight in personal_names(model, model.subjects.globs)
    one = dict(model.named_parameters())[weight]
    model.bind("other")
    assert dict(model.named_parameters())[weight] is not one


def test_a_state_dict_holds_everybody_whoever_is_bound():
    torch.manual_seed(0)
    model = build()
    model.setup_subjects(people())
    expected = {name: model.eval()(of(name), "deform", 3).means for name in ("one", "other")}
    state = model.state_dict()
    assert model.subjects.bound == "other"  # looking changes nothing
    assert state["layers.face.gaussians.params.means"].shape[0] == 60
    assert state["subjects.other.layers.face.gaussians.params.means"].shape[0] == 70
    torch.manual_seed(1)
    fresh = build()
    fresh.resize(model.layer_sizes())
    fresh.load_state_dict(state)
    for name, means in expected.items():
        assert torch.equal(fresh.eval()(of(name), "deform", 3).means, means)
    del state["subjects.other.layers.face.gaussians.params.means"]
    with pytest.raises(RuntimeError, match=r"subjects\.other\.layers\.face\.gaussians\.params\.means"):
        fresh.load_state_dict(state)


def test_everybody_moves_to_another_type_together():
    model = build("static")
    model.setup_subjects(people())
    model.double()
    assert all(tensor.dtype == torch.float64 for _, _, tensor in model.subjects.waiting() if tensor.is_floating_point())


def test_unknown_and_repeated_people_are_errors():
    model = build("static")
    with pytest.raises(UserError, match="two subjects are called one"):
        model.setup_subjects([people()[0], people()[0]])
    model.setup_subjects(people())
    with pytest.raises(UserError, match="no subject 'third': it has one, other"):
        model(of("third"), "deform", 3)
    with pytest.raises(UserError, match="is of one, third, this run of one, other"):
        model.resize({"one": {"face": 5}, "third": {"face": 5}})


def test_everybody_waits_in_the_order_of_the_run():
    model = build("static")
    model.setup_subjects([*people(), replace(subject_of(50), name="third")])
    orders = set()
    for last in ("one", "third", "other", "one", "third"):
        model.bind(last)
        model.bind("one")
        orders.add(tuple(dict.fromkeys(subject for subject, _, _ in model.subjects.waiting())))
    assert orders == {("other", "third")}


def test_nothing_of_one_person_gets_into_another():
    one, other = people()
    model = build()
    model.setup_subjects([replace(one, mouth=torch.tensor([0.0, -0.5, 0.3])), other])
    model.bind("other")
    assert model.face.deformation.reach.center.isnan().all()  # their mouth is not known


def test_a_run_keeps_its_people_whatever_a_checkpoint_holds():
    model = build("static")
    model.setup_subject(replace(subject_of(40), name="carla"))
    with pytest.raises(UserError, match=r"is of one, other, this run of carla.*checkpoint_parts=\[shared\]"):
        model.resize({"one": {"face": 5}, "other": {"face": 6}})


def test_globs_of_what_is_personal_must_match():
    with pytest.raises(UserError, match=r"model\.personal: 'face\.\*' matches nothing"):
        build(overrides=("model.personal=[face.*]",))


def test_the_size_is_of_whoever_is_bound():
    model = build()
    model.setup_subjects(people())
    sizes = {}
    for name in ("one", "other"):
        model.bind(name)
        sizes[name] = model_size(model, "deform")["parameters"]
        assert model.subjects.bound == name
    assert sizes["one"]["networks"] == sizes["other"]["networks"]
    assert sizes["one"]["gaussians"] * 70 == sizes["other"]["gaussians"] * 60 > 0


def test_only_layers_that_were_trained_are_baked():
    model = build("static")
    model.setup_subject(subject_of(30))
    before = model.gaussians.params["opacities"].clone()
    model.bake_canonical(0, layers={"mouth"})
    assert torch.equal(model.gaussians.params["opacities"], before)
    model.bake_canonical(0, layers={"face"})
    assert not torch.equal(model.gaussians.params["opacities"], before)
