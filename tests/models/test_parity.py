"""What is known of the originals: numbers of parameters, and a static head under heads that say nothing."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch

from talksplat.geometry.cameras import intrinsics
from talksplat.rasterizer.numba_rasterizer import NumbaRasterizer
from talksplat.rasterizer.torch_rasterizer import TorchRasterizer
from talksplat.types import Gaussians
from tests.models.building import build, make_conditions, set_up

ALL_FACTORS = "model.canonical.factors=[scales,quats,opacities,sh]"


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_parameter_counts_of_egstalker():
    """As counted in its released code, part by part.

    Its code also builds what it never uses, absent here: 17,024 in the attention (an output projection 64 to 64, another
    200 to 64, a pooling layer and two dropouts) and 43,313 in three KANs (enc_x 24,704, aud_ch_att 16,480, eye_att 2,129).
    """
    model = build("egstalker", (ALL_FACTORS,), paper=True)
    tokens = model.shared["tokens"]
    encoder = tokens.sources["audio"].encoder
    assert count(model.face.triplane) == 1_966_080
    assert count(model.face.canonical) == 98_104
    assert count(model.face.deformation.heads) == 49_211
    assert count(encoder) - count(encoder.smoothing) == 30_720 and count(encoder.smoothing) == 2_149
    assert count(tokens.sources["null"]) == 64
    assert count(model.face.deformation.cross_attention) == 20_992
    assert {name: count(network) for name, network in tokens.networks.items()} == dict(
        audio=24_704, eye=24_704, camera=19_584
    )
    dead = 17_024 + 24_704 + 16_480 + 2_129
    assert count(model) - count(model.gaussians) + dead == 2_296_649  # as counted in the original


@pytest.mark.parametrize("heads", ["mlp", "kan"])
@pytest.mark.parametrize("name", ["gaussiantalker", "egstalker"])
@pytest.mark.parametrize("rasterizer", [TorchRasterizer, NumbaRasterizer])
def test_zeroed_last_layers_show_the_static_head_to_the_bit(name, heads, rasterizer):
    """In the original's settings, where the last layers do not start at zero."""
    model = build(name, (f"model/deformation={heads}", "model.deformation.output_gain=0.1"), paper=True)
    set_up(model, overwrite_outputs=False).eval().requires_grad_(False)
    model.bake_canonical(3)
    size = 32
    conditions = replace(make_conditions(2), Ks=intrinsics(75.0, size, size).expand(2, 3, 3))
    draw = lambda shown: (
        rasterizer()(shown, conditions.viewmats, conditions.Ks, size, size, torch.zeros(2, size, size, 3)).image
    )
    static = model(conditions, "canonical", 3)
    assert not torch.equal(draw(model(conditions, "deform", 3)), draw(static))
    for parameter in model.face.deformation.heads.heads.outputs.parameters():
        parameter.zero_()
    deformed = model(conditions, "deform", 3)
    assert all(torch.equal(getattr(deformed, f.name), getattr(static, f.name)) for f in fields(Gaussians))
    assert torch.equal(draw(deformed), draw(static)) and draw(static).std() > 0.01
