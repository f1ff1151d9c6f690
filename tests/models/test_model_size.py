from __future__ import annotations

import copy

import pytest
import torch

from talksplat.models.gaussians.parameters import attribute_widths
from talksplat.models.model_size import model_size
from tests.models.building import build, make_conditions, set_up

COUNT = 60
NUMBERS = sum(attribute_widths(3).values())


def rendered(model, mode):
    with torch.no_grad():
        gaussians = model.eval()(make_conditions(2), mode, 3)
    return torch.cat([getattr(gaussians, n).flatten() for n in ("means", "quats", "scales", "opacities", "colors")])


@pytest.mark.parametrize(
    "name, mode",
    [
        ("gaussiantalker", "deform"),
        ("gaussiantalker", "canonical"),
        ("gaussiantalker", "joint"),
        ("egstalker", "deform"),
        ("static", "deform"),
    ],
)
def test_what_is_not_counted_does_not_change_the_picture(name, mode):
    """Each parameter is spoilt alone; those that the rendering depends on are the ones that count."""
    model = set_up(build(name), COUNT)
    before = rendered(model, mode)
    needed = 0
    for parameter in model.parameters():
        kept = copy.deepcopy(parameter.data)
        parameter.data.fill_(float("nan"))
        if not torch.equal(rendered(model, mode), before):
            needed += parameter.numel()
        parameter.data.copy_(kept)
    counted = model_size(model, mode)["parameters"]
    assert counted["networks"] + counted["gaussians"] == needed


def test_gaussians_networks_and_bytes():
    static = model_size(set_up(build("static"), COUNT), "deform")
    assert static == {"parameters": {"networks": 0, "gaussians": COUNT * NUMBERS}, "size_bytes": 4 * COUNT * NUMBERS}
    model = set_up(build(), COUNT)
    deform = model_size(model, "deform")
    canonical = sum(parameter.numel() for parameter in model.face.canonical.parameters())
    assert sum(deform["parameters"].values()) == sum(p.numel() for p in model.parameters()) - canonical
    assert deform["size_bytes"] == sum(
        tensor.nbytes for key, tensor in model.state_dict().items() if not key.startswith("layers.face.canonical.")
    )
    # Opacities and colours come from the networks: means, scales and quaternions are left.
    assert model_size(model, "canonical")["parameters"]["gaussians"] == COUNT * 10
    assert model_size(model.half(), "deform")["size_bytes"] < 0.6 * deform["size_bytes"]
