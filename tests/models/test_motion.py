import pytest
import torch

from talksplat.errors import UserError
from talksplat.models.conditioning.audio_attention_prior import AudioAttentionPrior
from talksplat.models.deformation.expression_offsets import ExpressionOffsets
from talksplat.models.deformation.motion import MotionOffsets
from talksplat.models.inspection import attention
from tests.models.building import build, make_conditions, parameters_of, set_up


def awake(kind: str) -> MotionOffsets:
    torch.manual_seed(0)
    module = MotionOffsets(8, [0.1, 0.4], hidden=16, kind=kind)
    torch.nn.init.normal_(module.network[-1].weight, std=0.3)
    return module


@pytest.mark.parametrize("kind", ["follow", "linear"])
def test_offsets_start_at_zero_and_are_linear_in_the_motion(kind):
    conditions = make_conditions(3)
    features, means = torch.randn(5, 8), torch.randn(5, 3)
    fresh = MotionOffsets(8, [0.1, 0.4], kind=kind)
    assert torch.equal(fresh(features, means, conditions.motion, conditions.viewmats), torch.zeros(3, 5, 3))
    module = awake(kind)
    module.rest.copy_(conditions.viewmats[0])
    at_rest = conditions.viewmats[:1].expand(3, 4, 4)  # the part relative to the mean pose is then zero
    once = module(features, means, conditions.motion, at_rest)
    assert once.abs().max() > 1e-3
    assert torch.allclose(module(features, means, 2 * conditions.motion, at_rest), 2 * once, atol=1e-5)


def test_a_gaussian_that_follows_wholly_is_where_the_lagging_pose_has_it():
    module = awake("follow")
    torch.nn.init.zeros_(module.network[-1].weight)
    module.network[-1].bias.data = torch.tensor([0.0, 1.0, 0.0])  # rest, first lag, second lag
    conditions, means = make_conditions(2), torch.randn(4, 3)
    module.fit(conditions.viewmats)
    offsets = module(torch.randn(4, 8), means, conditions.motion, conditions.viewmats)
    turn, shift = conditions.motion[:, 0].split(3, dim=-1)
    expected = torch.linalg.cross(turn[:, None].expand(2, 4, 3), means.expand(2, 4, 3)) + shift[:, None]
    assert torch.allclose(offsets, expected, atol=1e-6)


def test_the_avatar_moves_with_the_motion_only_where_it_is_switched_on():
    conditions = make_conditions(2)
    still = make_conditions(2)
    still.motion = torch.zeros_like(still.motion)
    for overrides, changes in (((), True), (("model.motion=null",), False)):
        torch.manual_seed(0)
        model = set_up(build(overrides=overrides)).eval()
        if model.face.deformation.motion is not None:
            torch.nn.init.normal_(model.face.deformation.motion.network[-1].weight, std=0.3)
        one, other = model(conditions, "deform", 3), model(still, "deform", 3)
        assert torch.equal(one.means, other.means) != changes
        assert torch.equal(one.opacities, other.opacities) and torch.equal(one.scales, other.scales)


def test_far_from_the_mouth_the_sound_is_not_heard():
    torch.manual_seed(0)
    model = set_up(build()).eval()
    model.face.deformation.reach.fit(torch.tensor([0.0, -0.5, 0.3]))
    weights = attention(model, make_conditions(2))[0, :, model.token_names.index("audio")]
    distance = (model.gaussians.params["means"] - model.face.deformation.reach.center).norm(dim=-1)
    assert weights[distance > 1.3].max() < 1e-3 < weights[distance < 0.6].min()


def test_without_a_known_mouth_there_is_no_prior():
    prior = AudioAttentionPrior()(torch.randn(4, 3), ["audio", "null"])
    assert torch.equal(prior, torch.zeros(4, 2))


def test_settings_out_of_range_are_refused():
    with pytest.raises(UserError, match="model.motion.kind"):
        MotionOffsets(8, [0.1], kind="spring")
    with pytest.raises(UserError, match="model.reach"):
        AudioAttentionPrior(width=0.0)


def test_expression_is_a_sum_of_blendshapes():
    torch.manual_seed(0)
    module = ExpressionOffsets(8, ["AU01_r", "AU04_r"], hidden=16)
    conditions, features = make_conditions(3), torch.randn(5, 8)
    conditions.action_units = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.5, 0.25]])
    assert torch.equal(module(features, conditions), torch.zeros(3, 5, 3))
    torch.nn.init.normal_(module.network[-1].weight, std=0.3)
    rest, first, mixed = module(features, conditions)
    conditions.action_units = torch.tensor([[0.0, 1.0]] * 3)
    second = module(features, conditions)[0]
    assert torch.equal(rest, torch.zeros(5, 3)) and first.abs().max() > 1e-3
    assert torch.allclose(mixed, 0.5 * first + 0.25 * second, atol=1e-6)
    conditions.action_units = None
    with pytest.raises(UserError, match="expects the action units AU01_r, AU04_r, but the frames have 0"):
        module(features, conditions)


def test_the_avatar_shows_the_expression():
    torch.manual_seed(0)
    assert build().face.deformation.expression is None  # without units there is nothing to show
    model = set_up(build(overrides=("dataset.action_units=[AU01_r]",))).eval()
    torch.nn.init.normal_(model.face.deformation.expression.network[-1].weight, std=0.3)
    calm, raised = make_conditions(2), make_conditions(2)
    calm.action_units, raised.action_units = torch.zeros(2, 1), torch.ones(2, 1)
    one, other = model(calm, "deform", 3), model(raised, "deform", 3)
    assert not torch.equal(one.means, other.means) and torch.equal(one.opacities, other.opacities)
    names = [name for name, p in model.named_parameters() if p.requires_grad and "deformation.expression" in name]
    assert names and all(
        any(p is q for q in parameters_of(model, "networks")) for p in model.face.deformation.expression.parameters()
    )
