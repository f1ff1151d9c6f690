"""Fusions without attention, against one Linear on everything side by side."""

from __future__ import annotations

import pytest
import torch

from talksplat.errors import UserError
from talksplat.models.conditioning.linear_fusion import Concatenation, ElementwiseProduct
from tests.models.building import build, make_conditions, set_up


def written_out(mixer, features, tokens, prior=None):
    """Each Gaussian of each frame by itself; a prior scales a token by its exponential."""
    rows = []
    for frame in tokens:
        for n, feature in enumerate(features):
            scaled = frame if prior is None else frame * prior[n].exp()[:, None]
            if isinstance(mixer, Concatenation):
                weight = torch.cat([mixer.query.weight, mixer.tokens.weight], dim=1)
                rows.append(weight @ torch.cat([feature, scaled.flatten()]) + mixer.tokens.bias)
            else:
                told = mixer.tokens.weight @ scaled.flatten() + mixer.tokens.bias
                rows.append((mixer.query.weight @ feature) * told)
    return torch.stack(rows).view(len(tokens), len(features), -1)


@pytest.mark.parametrize("kind", [Concatenation, ElementwiseProduct])
@pytest.mark.parametrize("with_prior", [False, True])
def test_written_out(kind, with_prior):
    mixer = kind(16, 3).double()
    torch.nn.init.normal_(mixer.tokens.bias)
    features, tokens = torch.randn(5, 16, dtype=torch.float64), torch.randn(2, 3, 16, dtype=torch.float64)
    prior = -torch.rand(5, 3, dtype=torch.float64) if with_prior else None
    given = mixer(features, mixer.prepare(features, features[:, :3]), tokens, prior)
    assert torch.allclose(given, written_out(mixer, features, tokens, prior), atol=1e-12)


@pytest.mark.parametrize("name", ["concatenation", "elementwise"])
def test_in_a_model(name):
    model = set_up(build(overrides=(f"model/attention={name}", "model.cross_attention.num_layers=2"))).eval()
    assert not model.has_attention
    near = torch.tensor([0.0, -0.5, 0.3])
    conditions, louder = make_conditions(2), make_conditions(2)
    louder.audio = louder.audio + 1
    change = lambda: (model(louder, "deform", 0).means - model(conditions, "deform", 0).means).norm(dim=-1)[0]
    assert (change() > 0).all()
    model.face.deformation.reach.fit(near)  # far from the mouth the sound is no longer heard
    distance = (model.gaussians.params["means"] - near).norm(dim=-1)
    after = change()
    assert after[distance > 1.5].max() < 1e-2 * after[distance < 0.6].max()


@pytest.mark.parametrize("name", ["concatenation", "elementwise"])
def test_tokens_are_counted_and_another_number_is_refused_when_it_is_built(name):
    without_eye = (f"model/attention={name}", "model.tokens.eye=null")
    assert build(overrides=without_eye).face.deformation.cross_attention.num_tokens == 3
    with pytest.raises(UserError, match=r"mixer.num_tokens \(4\) and number of tokens \(3\)"):
        build(overrides=(*without_eye, "model.cross_attention.mixer.num_tokens=4"))
    with pytest.raises(UserError, match="num_tokens=0"):
        Concatenation(64, 0)
