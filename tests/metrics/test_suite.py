from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from lpips import LPIPS

from talksplat.errors import UserError
from talksplat.metrics import Clip, FrameMetric, MetricSuite
from talksplat.metrics.image import psnr
from talksplat.metrics.open import build_metrics, open_suite
from talksplat.metrics.regions import mouth_mask
from tests.helpers.metrics import shipped_suite
from tests.losses.bundles import make_batch
from tests.losses.fake_weights import forget_weights, write_fake_weights


@pytest.fixture(autouse=True)
def no_pretrained_files(monkeypatch, tmp_path):
    def no_model(assets):
        raise UserError("the face landmarker model is missing")

    forget_weights(monkeypatch, tmp_path / "hub")
    monkeypatch.setattr("talksplat.metrics.landmarks.face_landmarker_path", no_model)


def test_frames_means_and_regions():
    suite = shipped_suite(None, None, "cpu")
    batches = [make_batch(seed=seed) for seed in (1, 2)]
    images = [batch.original * 0.9 for batch in batches]
    for batch, image in zip(batches, images):
        suite.update(image, batch)
    result = suite.compute()
    json.dumps(result, allow_nan=False)
    assert [frame["frame_id"] for frame in result["frames"]] == [10, 11, 10, 11]
    both = torch.cat([psnr(image, batch.original) for batch, image in zip(batches, images)])
    assert [frame["psnr"] for frame in result["frames"]] == pytest.approx(both.tolist())
    assert result["mean"]["psnr"] == pytest.approx(both.mean().item())
    for name, region in (
        ("psnr_head", batches[0].head_mask),
        ("psnr_mouth", mouth_mask(batches[0].lip_boxes, 32, 32)),
    ):
        expected = psnr(images[0], batches[0].original, region)
        assert result["frames"][0][name] == pytest.approx(expected[0].item())
    composite = psnr(images[0], batches[0].target)
    assert result["frames"][1]["psnr_composite"] == pytest.approx(composite[1].item())
    assert set(result["mean"]) == set(result["definitions"])


def test_what_cannot_be_measured_is_null_with_its_reason(tmp_path):
    batch = make_batch()
    batch.lip_boxes[0] = 0
    batch.head_mask[:] = False
    suite = shipped_suite("alex", tmp_path, "cpu")
    suite.update(batch.original, batch)
    result = suite.compute()
    assert result["mean"]["lpips"] is None and "alexnet-owt-7be5be79.pth" in result["reasons"]["lpips"]
    assert "evaluation.lpips_net=null" in result["reasons"]["lpips"]
    assert "lpips" not in result["frames"][0]
    assert result["mean"]["lmd"] is None and "face landmarker" in result["reasons"]["lmd"]
    assert result["reasons"]["lip_gap_correlation"] == result["reasons"]["lmd"]
    assert result["mean"]["psnr_head"] is None and "head pixels" in result["reasons"]["psnr_head"]
    assert result["frames"][0]["psnr_mouth"] is None
    assert result["mean"]["psnr_mouth"] == result["frames"][1]["psnr_mouth"]
    assert result["notes"]["psnr_mouth"].startswith("1 of 2 frames")
    missing = {name for name, value in result["mean"].items() if value is None}
    assert missing == set(result["reasons"])


def test_a_rendering_that_is_not_finite_is_not_hidden_as_a_number():
    batch = make_batch()
    image = batch.original
    image[0] = float("nan")
    suite = shipped_suite(None, None)
    suite.update(image, batch)
    result = suite.compute()
    assert result["frames"][0]["psnr"] is None and result["frames"][1]["psnr"] == pytest.approx(100)


@pytest.mark.filterwarnings("ignore:The parameter 'pretrained'", "ignore:Arguments other than a weight")
def test_lpips_names_its_net_and_equals_the_package(tmp_path):
    path = write_fake_weights(tmp_path, "alex")
    batch = make_batch(size=64)
    image = torch.rand(2, 64, 64, 3)
    suite = shipped_suite("alex", tmp_path, "cpu")
    suite.update(image, batch)
    result = suite.compute()
    assert "AlexNet" in result["definitions"]["lpips"] and "lpips" not in result["reasons"]
    package = LPIPS(net="alex", pnet_rand=True, verbose=False)
    state = torch.load(path, weights_only=True)
    for name, parameter in package.net.named_parameters():
        parameter.data = state["features." + name.split(".", 1)[1]]
    with torch.no_grad():
        expected = package(image.movedim(-1, 1) * 2 - 1, batch.original.movedim(-1, 1) * 2 - 1).flatten()
    assert [frame["lpips"] for frame in result["frames"]] == pytest.approx(expected.tolist(), rel=1e-4)


def test_bad_use_is_refused():
    with pytest.raises(UserError, match="alex, vgg"):
        shipped_suite("squeeze", None)
    suite = shipped_suite(None, None)
    with pytest.raises(ValueError):
        suite.update(torch.rand(1, 32, 32, 3), make_batch())
    assert suite.compute()["reasons"]["psnr"] == "no frame was measured"


class Points:
    """Stands for the face landmarker: counts its passes, and finds no face in a black picture."""

    calls = 0

    def __init__(self, assets):
        pass

    def __call__(self, original, rendered):
        Points.calls += 1
        points = np.random.default_rng(Points.calls).uniform(0, 30, (68, 2))
        return points, points + 1 if rendered.any() else None

    def close(self):
        pass


def test_one_pass_of_the_face_landmarker_serves_all_metrics(monkeypatch):
    monkeypatch.setattr("talksplat.metrics.landmarks.FaceMeasurer", Points)
    monkeypatch.setattr(Points, "calls", 0)
    suite = shipped_suite(None, None)
    for seed in range(3):
        batch = make_batch(seed=seed)
        image = batch.original
        image[1] *= seed > 0
        suite.update(image, batch)
    result = suite.compute()
    assert Points.calls == 6
    assert result["mean"]["lmd"] == pytest.approx(0, abs=1e-9)
    assert result["mean"]["lip_gap_correlation"] == pytest.approx(1)
    assert result["notes"]["lmd"] == (
        "1 of 6 frames left out: nothing to measure there (no face found in 0 originals and 1 renderings)"
    )
    lost = result["frames"][1]
    assert lost["lmd"] is lost["lip_gap_rendered"] is None and lost["lip_gap_original"] > 0


def test_nothing_is_loaded_for_what_is_not_measured(monkeypatch):
    def refuse(assets):
        raise AssertionError("the face landmarker was opened")

    monkeypatch.setattr("talksplat.metrics.landmarks.FaceMeasurer", refuse)
    nodes = {"brightness": {"_target_": "talksplat.metrics.image.PSNR"}, "lmd": None}
    suite = open_suite(nodes, None)
    suite.update(make_batch().original, make_batch())
    result = suite.compute()
    assert result["mean"] == {"brightness": pytest.approx(100)}
    assert result["metrics"] == {"brightness": {"title": "PSNR", "unit": "dB", "direction": "higher", "digits": 2}}


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"_target_": "talksplat.metrics.image.PSNRR"}, "evaluation.metrics.mine._target_: cannot import"),
        ({"_target_": "talksplat.metrics.image.PSNR", "area": 1}, "unknown key evaluation.metrics.mine.area"),
        ({"_target_": "talksplat.metrics.image.PSNR", "region": "ear"}, "region=ear.*full, head"),
        ({"_target_": "torch.nn.ReLU"}, "evaluation.metrics.mine: a ReLU is no metric"),
        ({"_target_": "tests.metrics.test_suite.Nameless"}, "evaluation.metrics.mine: Nameless has no title"),
        (None, "evaluation.metrics names nothing"),
    ],
)
def test_a_metric_that_cannot_be_is_refused_by_its_name(node, message):
    with pytest.raises(UserError, match=message):
        build_metrics({"mine": node})


class Nameless(FrameMetric):
    """Says what it is, not what its column is called, and gives one value for a batch."""

    definition = "brightness"

    def __call__(self, frames):
        return frames.rendered.mean()[None]


def test_one_value_per_frame_is_expected():
    suite = MetricSuite({"mine": Nameless()}, Clip())
    with pytest.raises(UserError, match=r"evaluation.metrics.mine gave values of shape \[1\] for 2 frames"):
        suite.update(make_batch().original, make_batch())
