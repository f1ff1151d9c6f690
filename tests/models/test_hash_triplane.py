from __future__ import annotations

import pytest
import torch

from talksplat.errors import UserError
from talksplat.models.gaussians.hash_triplane import PRIME, HashTriPlane
from talksplat.models.gaussians.triplane import TriPlane
from tests.models.building import build, make_conditions, parameters_of, set_up, sphere

SMALL = dict(levels=3, features=2, base_resolution=4, growth=2.0, log2_table_size=5)  # 4 dense, 8 and 16 hashed


def one_by_one(planes: HashTriPlane, point: torch.Tensor) -> torch.Tensor:
    """Features of a position, corner by corner, from the definition of the grid."""
    low, high = planes.bounds
    unit = ((point - low) / (high - low)).clamp(0, 1)
    levels = []
    for level, side in enumerate((4, 8, 16)):
        product = torch.ones(2, dtype=point.dtype)
        for plane, (first, second) in enumerate(((0, 1), (0, 2), (1, 2))):
            x, y = (unit[first] * (side - 1)).item(), (unit[second] * (side - 1)).item()
            sample = torch.zeros(2, dtype=point.dtype)
            for column in range(side):
                for row in range(side):
                    weight = max(0.0, 1 - abs(x - column)) * max(0.0, 1 - abs(y - row))
                    if level == 0:
                        entry = planes.planes[0][plane, :, row, column]
                    else:
                        entry = planes.tables[:, plane, level - 1, (column ^ (row * PRIME)) % 32]
                    sample = sample + weight * entry
            product = product * sample
        levels.append(product)
    return torch.cat(levels)


def test_samples_by_definition():
    planes = HashTriPlane(**SMALL, margin=1.0)
    planes.fit_bounds(torch.tensor([[-1.0, -2.0, 0.0], [1.0, 2.0, 3.0]]))
    points = torch.cat(
        [torch.rand(12, 3) * 2 - 1, planes.bounds, torch.tensor([[0.3, 5.0, -2.0]])]
    )  # inside, corners, out
    expected = torch.stack([one_by_one(planes, point) for point in points])
    assert torch.allclose(planes(points), expected, atol=1e-6)


def test_size_and_which_levels_are_dense():
    planes = HashTriPlane()
    assert [p.shape[-1] for p in planes.planes] == [16, 26, 43, 70, 115] and planes.resolutions.tolist() == [
        189,
        311,
        510,
    ]
    assert planes.tables.shape == (8, 3, 3, 2**14) and planes.out_features == 64
    assert sum(p.numel() for p in planes.parameters()) < sum(p.numel() for p in TriPlane().parameters())
    dense = HashTriPlane(levels=2, features=32)
    assert dense.tables is None and dense(sphere(5)).shape == (5, 64)
    hashed = HashTriPlane(levels=2, features=32, log2_table_size=4)
    assert not len(hashed.planes) and hashed(sphere(5)).shape == (5, 64)


def test_gradients_are_exact():
    planes = HashTriPlane(**SMALL).double()
    points = (0.5 * sphere(4).double()).requires_grad_()
    parameters = tuple(planes.parameters())
    assert torch.autograd.gradcheck(lambda *_: planes(points), (points, *parameters), eps=1e-7, atol=1e-5)


def test_as_smooth_at_the_start_as_the_dense_tri_plane():
    change = {}
    for name, planes in {
        "dense": TriPlane(),
        "hash": HashTriPlane(),
        "rough": HashTriPlane(init_resolution=None),
    }.items():
        points = 0.5 * sphere(400)
        features = planes(points)
        moved = planes(points + 0.01)
        change[name] = ((moved - features).norm() / (features - features.mean(0)).norm()).item()
    assert change["hash"] < 1.25 * change["dense"] and change["rough"] > 2 * change["hash"]


def test_float32_always_and_the_same_box_as_the_dense_one():
    planes, dense = HashTriPlane(), TriPlane()
    for module in (planes, dense):
        module.fit_bounds(2 * sphere(50))
    assert torch.equal(planes.bounds, dense.bounds)
    exact = planes(sphere(9))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(planes(sphere(9)), exact) and exact.dtype == torch.float32


@pytest.mark.parametrize(
    "settings",
    [{"levels": 0}, {"features": 0}, {"base_resolution": 1}, {"growth": 0.5}, {"log2_table_size": 0}, {"margin": 0}],
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(UserError, match=next(iter(settings))):
        HashTriPlane(**settings)


def test_in_a_model():
    model = set_up(build("egstalker", ("model/triplane=hash",)))
    assert {id(p) for p in parameters_of(model, "triplane")} == {id(p) for p in model.face.triplane.parameters()}
    model(make_conditions(2), "deform", 3).means.square().sum().backward()
    assert model.face.triplane.tables.grad.abs().sum() > 0
    fresh = build("egstalker", ("model/triplane=hash",))
    fresh.resize(model.layer_sizes())
    fresh.load_state_dict(model.state_dict())
    conditions = make_conditions(1)
    assert torch.equal(fresh.eval()(conditions, "deform", 3).means, model.eval()(conditions, "deform", 3).means)
