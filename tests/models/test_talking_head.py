from __future__ import annotations

import copy
from dataclasses import fields, replace

import pytest
import torch

from talksplat.errors import UserError
from talksplat.models.inspection import attention
from talksplat.models.subject_statistics import SubjectStatistics
from talksplat.training.parameter_table import ParameterTable
from talksplat.types import Gaussians
from tests.models.building import build, make_conditions, parameters_of, set_up, sphere

NAMES = [field.name for field in fields(Gaussians)]


@pytest.fixture
def model():
    return set_up(build()).eval()


def equal(first: Gaussians, second: Gaussians) -> dict[str, bool]:
    return {name: torch.equal(getattr(first, name), getattr(second, name)) for name in NAMES}


def total(gaussians: Gaussians) -> torch.Tensor:
    return sum((getattr(gaussians, name) * torch.rand_like(getattr(gaussians, name))).sum() for name in NAMES)


@pytest.mark.parametrize("mode", ["canonical", "deform"])
@pytest.mark.parametrize("name", ["gaussiantalker", "static"])
def test_shapes_and_ranges(name, mode):
    model = set_up(build(name))
    shown = model(make_conditions(3), mode, 2)
    widths = {"means": (3,), "quats": (4,), "scales": (3,), "opacities": (), "colors": (3,)}
    assert all(getattr(shown, key).shape == (3, 60, *shape) for key, shape in widths.items())
    assert all(getattr(shown, key).dtype == torch.float32 for key in widths)
    assert (shown.scales > 0).all() and (shown.colors >= 0).all() and ((shown.opacities - 0.5).abs() <= 0.5).all()


@pytest.mark.parametrize("name", ["gaussiantalker", "static"])
@pytest.mark.parametrize("factors", ["[]", "[opacities,sh]", "[scales,quats,opacities,sh]"])
def test_deformation_starts_as_the_baked_canonical_head(name, factors):
    torch.manual_seed(0)
    model = set_up(build(name, (f"model.canonical.factors={factors}",)), overwrite_outputs=False)
    conditions = make_conditions(3)
    canonical = model(conditions, "canonical", 3)
    before = model(conditions, "deform", 3)
    assert all(equal(canonical, before).values()) == (factors == "[]")
    model.bake_canonical(3)
    assert all(equal(canonical, model(conditions, "deform", 3)).values())


class TalkativeHead(type(build("static"))):
    """A model with a module that its author named nowhere else."""

    def __init__(self, **parts):
        super().__init__(**parts)
        self.extra = torch.nn.Linear(3, 3)


def test_a_parameter_is_trained_unless_its_author_froze_it():
    face = build("static").face
    parts = {"gaussians": face.gaussians, "triplane": face.triplane, "canonical": face.canonical}
    model = set_up(TalkativeHead(**parts))
    assert {"extra.weight", "extra.bias"} <= {entry.name for entry in ParameterTable(model).entries()}
    model.extra.requires_grad_(False)
    assert not any(entry.name.startswith("extra") for entry in ParameterTable(model).entries())


def test_bands_that_were_never_drawn_are_not_handed_over():
    model = set_up(build("static"), overwrite_outputs=False)
    torch.nn.init.normal_(model.face.canonical.heads.outputs["sh"].weight)
    conditions = make_conditions(3)
    drawn = model(conditions, "canonical", 1)
    assert not all(equal(drawn, model(conditions, "canonical", 3)).values())
    model.bake_canonical(1)
    assert all(equal(drawn, model(conditions, "deform", 3)).values())


def test_the_original_does_not_start_as_identity():
    model = set_up(build(paper=True), overwrite_outputs=False).eval()
    model.bake_canonical(3)
    conditions = make_conditions(2)
    assert not any(equal(model(conditions, "canonical", 3), model(conditions, "deform", 3)).values())


def test_only_listed_factors_are_predicted():
    model = set_up(build(overrides=("model.canonical.factors=[opacities]",)))
    explicit, predicted = model.gaussians.raw(), model.canonical_raw()
    assert not torch.equal(predicted.opacities, explicit.opacities)
    assert all(torch.equal(getattr(predicted, n), getattr(explicit, n)) for n in ("means", "scales", "quats", "sh"))


def test_gradient_reaches_every_part():
    model = set_up(build())
    total(model(make_conditions(2), "deform", 3)).backward()
    silent = [name for name, p in model.named_parameters() if p.grad is None or p.grad.abs().sum() == 0]
    assert all(name.startswith("layers.face.canonical.") for name in silent) and len(silent) > 0
    model.zero_grad(set_to_none=True)
    total(model(make_conditions(2), "canonical", 3)).backward()
    reached = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    expected = {
        name
        for name, _ in model.named_parameters()
        if name.startswith(("layers.face.canonical.", "layers.face.triplane."))
    }
    assert reached == expected | {f"layers.face.gaussians.params.{n}" for n in ("means", "scales", "quats")}


def test_every_parameter_has_one_entry_with_a_name_and_a_kind():
    model = set_up(build())
    entries = ParameterTable(model).entries()
    listed = [id(entry.parameter) for entry in entries]
    assert len(listed) == len(set(listed)) and set(listed) == {id(p) for p in model.parameters()}
    gaussians = {entry.name: entry.kind for entry in entries if entry.is_gaussian}
    assert gaussians == {f"face.{name}": name for name in ("means", "scales", "quats", "opacities", "sh0", "shN")}
    assert [entry.name for entry in entries if entry.kind == "triplane"] == [
        "face.triplane.planes.0",
        "face.triplane.planes.1",
    ]
    assert {entry.name.split(".")[0] for entry in entries} == {"face", "shared"}


def test_audio_moves_its_own_frame_and_the_listed_attributes_only():
    model = set_up(build(overrides=("model.deformation.attributes=[means,opacities]",))).eval()
    conditions = make_conditions(3)
    audio = conditions.audio.clone()
    audio[1] += 1
    first, second = (model(c, "deform", 0) for c in (conditions, replace(conditions, audio=audio)))
    assert equal(first, second) == dict(means=False, quats=True, scales=True, opacities=False, colors=True)
    assert torch.equal(first.means[[0, 2]], second.means[[0, 2]]) and not torch.equal(first.means[1], second.means[1])
    canonical = (model(c, "canonical", 3) for c in (conditions, replace(conditions, audio=audio)))
    assert all(equal(*canonical).values())


@pytest.mark.parametrize("token", ["audio", "eye", "camera"])
def test_an_ablated_token_changes_nothing(token):
    conditions = make_conditions(2)
    other = make_conditions(2, seed=5)
    changed = {
        "audio": replace(conditions, audio=other.audio),
        "eye": replace(conditions, eye=other.eye),
        "camera": replace(conditions, viewmats=other.viewmats),
    }[token]
    full = set_up(build()).eval()
    assert not torch.equal(full(conditions, "deform", 0).means, full(changed, "deform", 0).means)
    without = set_up(build(overrides=(f"model.tokens.{token}=null", "model.motion=null"))).eval()
    assert all(equal(without(conditions, "deform", 0), without(changed, "deform", 0)).values())


def test_static_head_knows_no_conditions():
    model = set_up(build("static"))
    conditions = make_conditions(2)
    other = replace(make_conditions(2, seed=3), viewmats=conditions.viewmats)
    for mode in ("canonical", "deform"):
        assert all(equal(model(conditions, mode, 3), model(other, mode, 3)).values())
    assert model.token_names == () and attention(model, conditions).shape == (2, 60, 0)


def test_checkpoint_round_trip(model):
    conditions = make_conditions(3)
    torch.manual_seed(7)
    fresh = build()
    fresh.resize(model.layer_sizes())
    fresh.load_state_dict(copy.deepcopy(model.state_dict()))
    for mode in ("canonical", "deform"):
        assert all(equal(model(conditions, mode, 3), fresh.eval()(conditions, mode, 3)).values())


def test_chunks_and_frozen_features_change_nothing_but_memory(model):
    conditions = make_conditions(7)
    expected = model(conditions, "deform", 3)
    weights = attention(model, conditions)
    model.max_points = 130  # two frames at a time
    with torch.no_grad():
        chunked = model(conditions, "deform", 3)
        model.freeze_for_inference()
        frozen = model(conditions, "deform", 3)
    for name in NAMES:
        assert torch.allclose(getattr(expected, name), getattr(chunked, name), atol=1e-6)
        assert torch.equal(getattr(frozen, name), getattr(chunked, name))
    assert torch.allclose(attention(model, conditions), weights, atol=1e-6)
    assert weights.shape == (7, 60, 4) and torch.allclose(weights.sum(-1), torch.ones(7, 60))


@pytest.mark.parametrize("thaw", ["train", "load", "resize", "setup"])
def test_frozen_features_are_dropped_when_weights_change(model, thaw):
    conditions = make_conditions(1)
    changed = copy.deepcopy(model)
    torch.nn.init.uniform_(changed.face.triplane.planes[0], 1.0, 2.0)
    model.freeze_for_inference()
    if thaw == "load":
        model.load_state_dict(changed.state_dict())
    elif thaw == "train":
        model.train()
        model.face.triplane.load_state_dict(changed.face.triplane.state_dict())
        model.eval()
    elif thaw == "resize":
        model.resize(model.layer_sizes())
        model.face.triplane.load_state_dict(changed.face.triplane.state_dict())
        model.gaussians.load_state_dict(changed.gaussians.state_dict())
    else:
        model.face.triplane.load_state_dict(changed.face.triplane.state_dict())
        set_up(model, overwrite_outputs=False)
    assert all(equal(model(conditions, "deform", 3), changed(conditions, "deform", 3)).values())


@pytest.mark.parametrize("mode", ["canonical", "deform"])
def test_half_precision_stays_close_and_geometry_stays_exact(model, mode):
    conditions = make_conditions(2)
    exact = model(conditions, mode, 3)
    with torch.autocast("cpu", torch.bfloat16):
        half = model(conditions, mode, 3)
    assert all(getattr(half, name).dtype == torch.float32 for name in NAMES)
    offset = (exact.means - model.gaussians.params["means"]).abs().max()
    assert (half.means - exact.means).abs().max() <= 0.05 * offset  # only the offset is rounded, not the position
    total(half).backward()
    assert model.face.triplane.planes[0].grad.isfinite().all()


def test_parameter_counts_of_the_original():
    model = build(paper=True, overrides=("model.canonical.factors=[scales,quats,opacities,sh]",))
    count = lambda module: sum(p.numel() for p in module.parameters())
    assert count(model.face.deformation.cross_attention) == 2 * 33_472
    assert count(model.face.deformation.heads) == 49_211
    assert count(model.face.canonical) == 98_104
    assert count(model.face.triplane) == 1_966_080


def test_settings_that_do_not_fit_are_named():
    with pytest.raises(UserError, match="cross_attention.width"):
        build(overrides=("model.cross_attention.width=32",))
    with pytest.raises(UserError, match="triplane features"):
        build(overrides=("model.triplane.channels=16",))
    with pytest.raises(UserError, match="canonical.sh_degree"):
        build(overrides=("model.canonical.sh_degree=2",))
    with pytest.raises(UserError, match="'colour'"):
        build(overrides=("model.canonical.factors=[colour]",))
    with pytest.raises(UserError, match="deformation.attributes"):
        build(overrides=("model.deformation.attributes=[]",))
    with pytest.raises(UserError, match="no frames"):
        build("static").setup_subject(SubjectStatistics(sphere(10), torch.zeros(0, 4, 4)))
    with pytest.raises(ValueError, match="mode"):
        set_up(build("static"))(make_conditions(1), "fine", 3)


def test_lower_sh_degree_everywhere():
    model = set_up(build(overrides=("model.gaussians.sh_degree=1",)))
    assert model.gaussians.raw().sh.shape == (60, 4, 3)
    assert model(make_conditions(1), "deform", 1).colors.shape == (1, 60, 3)


def test_fits_a_moving_target():
    torch.manual_seed(0)
    small = ("model.triplane.resolutions=[8,16]", "model.triplane.init_resolution=8")
    model = set_up(build(overrides=small), count=100, overwrite_outputs=False)
    model.bake_canonical(3)
    conditions = make_conditions(8)
    with torch.no_grad():
        target = model(conditions, "deform", 3).means.clone()
    mouth = model.gaussians.params["means"][:, 1] < -0.3
    target[:, mouth, 1] -= 0.2 * conditions.eye[:, None]
    optimizer = torch.optim.Adam(
        [
            {"params": parameters_of(model, "networks"), "lr": 2e-3},
            {"params": model.face.triplane.parameters(), "lr": 2e-3},
        ]
    )
    errors = []
    for _ in range(80):
        optimizer.zero_grad()
        error = (model(conditions, "deform", 3).means - target).square().mean()
        error.backward()
        optimizer.step()
        errors.append(error.item())
    model.eval()
    final = (model(conditions, "deform", 3).means - target).square().mean().item()
    assert final < 0.1 * errors[0]
