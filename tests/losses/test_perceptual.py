from __future__ import annotations

import hashlib
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import torch
import torch.nn.functional as F

from talksplat.errors import UserError
from talksplat.losses import LPIPSLoss, PerceptualVGGLoss
from talksplat.losses.pretrained import BACKBONES, Backbone, find_weights
from tests.losses.bundles import make_batch, make_output
from tests.losses.fake_weights import forget_weights, write_fake_weights


@pytest.fixture(scope="module")
def vgg_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("assets")
    write_fake_weights(folder, "vgg")
    return folder


def reference_perceptual(state: dict, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """The definition, layer by layer, from the file's own keys."""
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    a, b = (F.interpolate(((x - mean) / std).permute(0, 3, 1, 2), (224, 224), mode="bilinear") for x in (a, b))
    total = 0.0
    for block in ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21)):
        if block[0]:
            a, b = F.max_pool2d(a, 2), F.max_pool2d(b, 2)
        for index in block:
            weight, bias = state[f"features.{index}.weight"], state[f"features.{index}.bias"]
            a, b = F.conv2d(a, weight, bias, padding=1).relu(), F.conv2d(b, weight, bias, padding=1).relu()
        total = total + (a - b).abs().mean()
    return total


def test_vgg_loss_equals_its_definition_and_reaches_the_image(vgg_folder):
    batch = make_batch(frames=1)
    image = torch.rand(1, 32, 32, 3, requires_grad=True)
    loss = PerceptualVGGLoss(0.01, assets=str(vgg_folder))
    loss.check_available()
    value = loss(make_output(image), batch)
    state = torch.load(vgg_folder / BACKBONES["vgg"].file, weights_only=True)
    torch.testing.assert_close(value, reference_perceptual(state, image, batch.target), rtol=1e-4, atol=1e-5)
    value.backward()
    assert image.grad.abs().sum() > 0
    assert loss(make_output(batch.target), batch) == 0
    assert not loss.state_dict() and not list(loss.parameters()), "the network is no part of a checkpoint"


def test_lpips_loss(tmp_path):
    write_fake_weights(tmp_path, "alex")
    batch = make_batch(size=64, frames=2)
    image = torch.rand(2, 64, 64, 3, requires_grad=True)
    loss = LPIPSLoss(1.0, assets=str(tmp_path)).train()
    value = loss(make_output(image), batch)
    value.backward()
    assert value > 0 and image.grad.abs().sum() > 0
    assert loss(make_output(image), batch) == value, "dropout of the linear layers must be off"
    assert abs(loss(make_output(batch.target), batch).item()) < 1e-6
    with pytest.raises(UserError, match="alex, vgg"):
        LPIPSLoss(1.0, net="squeeze")


def test_missing_weights_are_refused_before_training(monkeypatch, tmp_path):
    forget_weights(monkeypatch, tmp_path)
    with pytest.raises(UserError) as caught:
        PerceptualVGGLoss(0.01, assets=str(tmp_path / "mine")).check_available()
    text = str(caught.value)
    for part in ("vgg16-397923af.pth", str(tmp_path / "mine"), "loss.perceptual=null", "loss=default", "failed"):
        assert part in text
    PerceptualVGGLoss(0.0).check_available()  # switched off: nothing is needed


def test_weights_are_looked_for_in_assets_then_environment_then_cache(monkeypatch, tmp_path):
    forget_weights(monkeypatch, tmp_path / "hub")
    name = BACKBONES["alex"].file
    places = [tmp_path / "assets" / name, tmp_path / "env" / name, tmp_path / "hub" / "checkpoints" / name]
    for place in places:
        place.parent.mkdir(parents=True)
        place.touch()
    monkeypatch.setenv("TALKSPLAT_ASSETS", str(tmp_path / "env"))
    for place in places:
        assert find_weights("alex", tmp_path / "assets", "off") == place
        place.unlink()
    with pytest.raises(UserError, match="or off"):
        find_weights("alex", None, "off", download=False)


class Server(SimpleHTTPRequestHandler):
    """Files of a folder; of those called cut-*, the connection ends too early."""

    def copyfile(self, source, outputfile):
        content = source.read()
        outputfile.write(content[: len(content) // 2] if "cut-" in self.path else content)

    def log_message(self, *args):
        pass


@pytest.fixture
def served(monkeypatch, tmp_path):
    """Folder that a server on this machine serves in the place of torchvision's."""
    folder = tmp_path / "served"
    folder.mkdir()
    forget_weights(monkeypatch, tmp_path / "hub")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Server, directory=str(folder))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setattr("talksplat.losses.pretrained.URL", f"http://127.0.0.1:{server.server_port}/")
        yield folder
        server.shutdown()


def test_a_download_is_checked_and_leaves_no_damaged_file(served, monkeypatch, tmp_path):
    content = b"weights"
    good = hashlib.sha256(content).hexdigest()
    for name in ("good.pth", "bad.pth", "cut-good.pth"):
        (served / name).write_bytes(content)
    cache = tmp_path / "hub" / "checkpoints"
    for name, digest, message in (
        ("bad.pth", "0" * 64, "came damaged"),
        ("cut-good.pth", good, "failed"),
        ("absent.pth", good, "404"),
    ):
        monkeypatch.setitem(BACKBONES, "vgg", Backbone("VGG16", name, digest))
        with pytest.raises(UserError, match=f"{message}.*get http.*{name} and put it into"):
            find_weights("vgg", None, "off")
        assert not list(cache.glob("*"))
    monkeypatch.setitem(BACKBONES, "alex", Backbone("AlexNet", "good.pth", good))
    path = find_weights("alex", None, "off")
    assert path == cache / "good.pth" and path.read_bytes() == content
    (served / "good.pth").unlink()
    assert find_weights("alex", None, "off") == path  # once
    assert [each.name for each in cache.iterdir()] == ["good.pth"]


def test_a_cache_that_cannot_be_written_is_no_crash(served, monkeypatch, tmp_path):
    (served / "vgg.pth").write_bytes(b"weights")
    monkeypatch.setitem(BACKBONES, "vgg", Backbone("VGG16", "vgg.pth", hashlib.sha256(b"weights").hexdigest()))
    (tmp_path / "hub").write_text("a file where the folder should be")
    with pytest.raises(UserError, match="downloading failed"):
        find_weights("vgg", None, "off")


@pytest.mark.parametrize(
    "content, message",
    [
        (None, "cannot be read as network weights"),
        ({"weight": torch.zeros(1)}, "holds no torchvision weights"),
        ({"features.0.weight": torch.zeros(64, 3, 3, 3)}, "no features.0.bias"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, content, message):
    path = tmp_path / BACKBONES["vgg"].file
    path.write_bytes(b"<html>") if content is None else torch.save(content, path)
    with pytest.raises(UserError, match=message) as caught:
        PerceptualVGGLoss(0.01, assets=str(tmp_path)).check_available()
    assert str(path) in str(caught.value)
