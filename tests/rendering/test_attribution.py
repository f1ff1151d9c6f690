"""Attention and deformation drawn over the face: the numbers, the colours, the places."""

from __future__ import annotations

from dataclasses import replace

import cv2
import matplotlib
import numpy as np
import pytest
import torch

from talksplat.errors import UserError
from talksplat.geometry.cameras import project
from talksplat.models.deformation.base import Deformation
from talksplat.models.inspection import attention, deformed_attributes, undeformed
from talksplat.models.talking_head import TalkingHead
from talksplat.rasterizer.auto import AutoRasterizer
from talksplat.rendering.attribution import (
    MEASURES,
    AttentionAttribution,
    DeformationAttribution,
    displacement,
    fading,
    recolouring,
    stretching,
    turning,
)
from talksplat.rendering.attribution_figure import CELL, AttributionFigure
from talksplat.rendering.attribution_maps import AttributionMaps, check_attribution
from talksplat.rendering.color_scale import ColorScale, round_up
from talksplat.rendering.panels import Panel, Panels
from talksplat.rendering.renderer import AvatarRenderer
from talksplat.types import Gaussians
from tests.models.building import build, make_conditions, set_up

SIZE = 128


class Shift(Deformation):
    """Moves the first Gaussian by 3, 0 and 4 mm."""

    def prepare(self, features, means):
        return len(means)

    def forward(self, prepared, signals, conditions):
        offsets = torch.zeros(len(conditions), prepared, 3)
        offsets[:, 0] = torch.tensor([0.03, 0.0, 0.04])
        return {"means": offsets}


def conditions_at(frames: int = 1):
    conditions = make_conditions(frames)
    scale = torch.tensor([SIZE / 512, SIZE / 512, 1.0])[:, None]
    return replace(conditions, Ks=conditions.Ks * scale)


def renderer_of(model) -> AvatarRenderer:
    return AvatarRenderer(model.eval(), AutoRasterizer(), "deform", 0, SIZE, SIZE)


@pytest.fixture(scope="module")
def talker():
    model = set_up(build(), count=600)
    with torch.no_grad():
        model.gaussians.params["opacities"].fill_(3.0)
    return model


@pytest.fixture(scope="module")
def shifted():
    """Two Gaussians of half opacity, far from each other."""
    static = build("static")
    model = set_up(
        TalkingHead(static.gaussians, static.face.triplane, static.face.canonical, Shift()),
        count=8,
        overwrite_outputs=False,
    )
    model.resize({"subject": {"face": 2}})
    with torch.no_grad():
        params = model.gaussians.params
        params["means"].copy_(torch.tensor([[0.4, 0.3, 0.0], [-0.4, -0.3, 0.0]]))
        params["scales"].fill_(np.log(0.06))
        params["quats"][:, 0] = 1
        params["opacities"].zero_()
    return model


def bundle(**changes) -> Gaussians:
    parts = {
        "means": torch.zeros(1, 1, 3),
        "quats": torch.tensor([[[2.0, 0.0, 0.0, 0.0]]]),
        "scales": torch.full((1, 1, 3), 0.1),
        "opacities": torch.full((1, 1), 0.25),
        "colors": torch.full((1, 1, 3), 0.2),
    }
    return Gaussians(**(parts | changes))


def test_magnitudes_are_in_their_units():
    assert displacement(bundle(), bundle(means=torch.tensor([[[0.03, 0.0, -0.04]]]))).item() == pytest.approx(5)
    doubled = torch.tensor([[[0.1, 0.2, 0.05]]])
    assert stretching(bundle(), bundle(scales=doubled)).item() == pytest.approx(np.log(2) * 2**0.5, rel=1e-5)
    assert fading(bundle(), bundle(opacities=torch.full((1, 1), 0.1))).item() == pytest.approx(0.15)
    assert recolouring(bundle(), bundle(colors=torch.tensor([[[0.5, 0.2, 0.2]]]))).item() == pytest.approx(0.3 / 3**0.5)
    for degrees in (0.01, 90.0, 180.0):
        half = np.radians(degrees) / 2
        turned = torch.tensor([[[np.cos(half), 0, 0, np.sin(half)]]]).float()
        for sign in (1, -1):  # both are the same rotation
            assert turning(bundle(), bundle(quats=sign * 3 * turned)).item() == pytest.approx(degrees, rel=1e-3)


def test_a_made_offset_is_shown_in_millimetres_where_it_is(shifted):
    conditions = conditions_at()
    renderer = renderer_of(shifted)
    source = DeformationAttribution(shifted, "deform", 0, conditions)
    assert [quantity.name for quantity in source.quantities] == ["means"]  # and none for what stays
    attribution = AttributionMaps(renderer, [source], [conditions])
    gaussians = renderer.gaussians(conditions)
    values, alpha = attribution.values(conditions, gaussians)
    pixels, _ = project(gaussians.means[0], conditions.viewmats[0], conditions.Ks[0])
    moved, still = ((round(y - 0.5), round(x - 0.5)) for x, y in pixels.tolist())
    assert 0.3 < alpha[0][moved] < 0.6 and 0.3 < alpha[0][still] < 0.6  # covered in part: not 5 x alpha
    assert values[0][moved].item() == pytest.approx(5.0, rel=1e-3)
    assert values[0][still].item() == 0
    assert attribution.panels[0].scale.high == pytest.approx(5.0) and attribution.panels[0].scale.high_label == "5 mm"


def test_colours_on_the_head_and_the_dimmed_rendering_around_it(shifted):
    conditions = conditions_at()
    renderer = renderer_of(shifted)
    attribution = AttributionMaps(renderer, [DeformationAttribution(shifted, "deform", 0, conditions)], [conditions])
    background = torch.full((1, SIZE, SIZE, 3), 200, dtype=torch.uint8)
    rendered, gaussians = renderer.render(conditions, background)
    (picture,) = attribution(conditions, gaussians, rendered)
    _, alpha = attribution.values(conditions, gaussians)
    y, x = divmod(int(alpha[0, :, : SIZE // 2].argmax()), SIZE // 2)
    magma = matplotlib.colormaps["magma"]
    assert picture[0, y, x].tolist() == pytest.approx(magma(0.0)[:3], abs=1e-3)
    brightest = picture[0].sum(-1).flatten().argmax()
    assert picture[0].reshape(-1, 3)[brightest].tolist() == pytest.approx(magma(1.0)[:3], abs=0.02)
    assert picture[0, 0, 0].tolist() == pytest.approx([0.35 * 200 / 255] * 3)


def test_attention_sums_to_one_over_the_tokens_however_thin_a_pixel(talker):
    conditions = conditions_at(2)
    renderer = renderer_of(talker)
    attribution = AttributionMaps(renderer, [AttentionAttribution(talker)], [])
    assert [panel.name for panel in attribution.panels] == [f"attention: {name}" for name in talker.token_names]
    assert {panel.scale.high for panel in attribution.panels} == {1.0}
    values, alpha = attribution.values(conditions, renderer.gaussians(conditions))
    assert (alpha > 0.9).sum() > 500 and ((alpha > 0.1) & (alpha < 0.5)).sum() > 100
    torch.testing.assert_close(values.sum(-1)[alpha > 0.05], torch.ones(int((alpha > 0.05).sum())), rtol=0, atol=1e-4)
    weights = attention(talker, conditions)
    assert values[alpha > 0.05].min() >= weights.min() - 1e-4 and values.max() <= weights.max() + 1e-4


def test_all_five_attributes_and_one_scale_for_the_video(talker):
    conditions = conditions_at(3)
    renderer = renderer_of(talker)
    source = DeformationAttribution(talker, "deform", 0, conditions.index(slice(0, 1)))
    assert source.quantities == [quantity for _, quantity in MEASURES.values()]
    attribution = AttributionMaps(renderer, [source], [conditions.index(slice(0, 2)), conditions.index(slice(2, 3))])
    values, alpha = attribution.values(conditions, renderer.gaussians(conditions))
    for panel, channel in zip(attribution.panels, values.unbind(-1)):
        head = channel[alpha > 0.1]
        assert 0 < head.quantile(0.9) < panel.scale.high <= head.max() * 1.1


def test_undeformed_is_what_deformation_starts_from():
    model = set_up(build(), overwrite_outputs=False).eval()  # heads that give zero
    conditions = make_conditions(2)
    with torch.no_grad():
        after, before = model(conditions, "deform", 3), undeformed(model, conditions, "deform", 3)
    for name in ("means", "quats", "scales", "opacities", "colors"):
        torch.testing.assert_close(getattr(before, name), getattr(after, name))
    assert set(deformed_attributes(model, conditions)) == set(MEASURES)
    assert deformed_attributes(build("static"), conditions) == ()


def test_nothing_to_show_is_refused(talker):
    class WithoutWeights(type(talker)):
        has_attention = False

    static = build("static")
    check_attribution(static, "deform", attention=False, deformation=False)
    check_attribution(talker, "deform", attention=True, deformation=True)
    with pytest.raises(UserError, match="deformation=true.*not deformed"):
        check_attribution(static, "deform", attention=False, deformation=True)
    with pytest.raises(UserError, match="deformation=true.*not deformed"):
        check_attribution(talker, "canonical", attention=False, deformation=True)
    with pytest.raises(UserError, match="has no attention"):
        check_attribution(talker, "canonical", attention=True, deformation=False)
    other = WithoutWeights.__new__(WithoutWeights)
    other.__dict__ = talker.__dict__
    with pytest.raises(UserError, match="WithoutWeights.*without attention weights"):
        check_attribution(other, "deform", attention=True, deformation=False)


def test_scales_end_at_round_numbers():
    assert [round_up(value) for value in (0.0, 0.0123, 0.5, 4.91, 5.0, 123.0)] == [1.0, 0.013, 0.5, 5.0, 5.0, 130.0]
    painted = ColorScale(2.0).paint(torch.tensor([0.0, 2.0, 9.0]))
    assert torch.equal(painted[1], painted[2]) and not torch.equal(painted[0], painted[1])


def test_panels_wrap_and_scales_hide_nothing():
    shown = [Panel("render")] + [Panel(f"map {i}", scale=ColorScale(3.0, "mm", "magma")) for i in range(8)]
    panels = Panels(shown, 200, 160)
    joined = panels([torch.full((2, 160, 200, 3), i / 10) for i in range(9)])
    assert joined.shape == (2, panels.height, panels.width, 3) and panels.width == 5 * 200
    strip = panels.height // 2 - 160
    assert strip >= 16
    for i, (top, left) in enumerate(panels.corners):
        assert (top, left) == (i // 5 * (160 + strip), i % 5 * 200)
        assert (joined[:, top + 30 : top + 160, left : left + 200] == round(25.5 * i)).all()
    middle = joined[0, 160 + strip // 2].float() / 255
    assert middle[:200].max() == 0  # the rendering has no scale
    bar = middle[200 + 60 : 400 - 70]
    assert (bar.diff(dim=0)[:, 0] >= 0).all() and bar[-1, 0] - bar[0, 0] > 0.4  # magma from left to right


def test_picture_has_its_panels_where_they_should_be(tmp_path):
    shown = [Panel("render"), Panel("means", "displacement in mm", ColorScale(5.0, "mm", "magma"))]
    picture = AttributionFigure(shown, range(100, 120), 25, 512, 512)
    assert picture.frames == [2, 7, 12, 17]
    for start in range(0, 20, 6):
        chunk = slice(start, min(start + 6, 20))
        levels = torch.arange(chunk.start, chunk.stop)[:, None, None, None].expand(-1, 512, 512, 3)
        picture.keep(chunk, [levels / 100, 1 - levels / 100])
    picture.write(tmp_path / "maps.png")
    image = cv2.imread(str(tmp_path / "maps.png"))[..., ::-1]
    for row, frame in enumerate(picture.frames):
        for column, level in enumerate((frame / 100, 1 - frame / 100)):
            top, left = picture.corner(row, column)
            assert (image[top : top + CELL, left : left + CELL] == round(255 * level)).all()
            assert (image[top - 2, left : left + CELL] == 255).all()  # a gap
    top, left = picture.corner(0, 0)
    assert image[: top - 8, left : left + CELL].min() < 80 and image[: top - 8, left + CELL + 8 :].min() < 80
    assert image[top : top + CELL, : left - 8].min() < 80  # which frame
    below = image[picture.corner(3, 1)[0] + CELL :, picture.corner(0, 1)[1] :]
    assert (np.ptp(below.astype(int), axis=-1) > 60).sum() > 1000  # a coloured bar
    assert np.ptp(image[top + 4 * (CELL + 8) :, left : left + CELL]) == 0  # and none for the rendering
