from __future__ import annotations

import json

import pytest
import torch
from lpips import LPIPS

from talksplat.errors import UserError
from talksplat.metrics import MetricSuite
from talksplat.metrics.image import psnr
from talksplat.metrics.regions import mouth_mask
from tests.losses.bundles import make_batch
from tests.losses.fake_weights import forget_weights, write_fake_weights


@pytest.fixture(autouse=True)
def no_pretrained_files(monkeypatch, tmp_path):
    def no_model(assets):
        raise UserError("the face landmarker model is missing")

    forget_weights(monkeypatch, tmp_path / "hub")
    monkeypatch.setattr("talksplat.metrics.landmarks.face_landmarker_path", no_model)


def test_frames_means_and_regions():
    suite = MetricSuite(None, None, "cpu")
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
    suite = MetricSuite("alex", tmp_path, "cpu")
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
    suite = MetricSuite(None, None)
    suite.update(image, batch)
    result = suite.compute()
    assert result["frames"][0]["psnr"] is None and result["frames"][1]["psnr"] == pytest.approx(100)


@pytest.mark.filterwarnings("ignore:The parameter 'pretrained'", "ignore:Arguments other than a weight")
def test_lpips_names_its_net_and_equals_the_package(tmp_path):
    path = write_fake_weights(tmp_path, "alex")
    batch = make_batch(size=64)
    image = torch.rand(2, 64, 64, 3)
    suite = MetricSuite("alex", tmp_path, "cpu")
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
        MetricSuite("squeeze", None)
    suite = MetricSuite(None, None)
    with pytest.raises(ValueError):
        suite.update(torch.rand(1, 32, 32, 3), make_batch())
    assert suite.compute()["reasons"]["psnr"] == "no frame was measured"
