"""Masks from a person matte: what networks of each kind are given and give, parts inside a matte, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from talksplat.config import compose, instantiate
from talksplat.errors import UserError
from talksplat.preprocess.segmentation import matting
from talksplat.preprocess.segmentation.matting import KINDS, MattingSegmenter, open_onnx, open_rembg
from talksplat.subject_format.labels import Label
from tests.preprocess.drawn_person import COUNT, SIZE, drawn_clip

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def write_network(path: Path, channels: int = 3, side: int | str = 32, outputs: int = 1) -> Path:
    """A network that gives the mean of its channels."""
    from onnx import TensorProto, helper

    entry = helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, channels, side, side])
    result = helper.make_tensor_value_info("matte", TensorProto.FLOAT, [1, outputs, side, side])
    nodes = [helper.make_node("ReduceMean", ["picture", "axes"], ["mean"], keepdims=1)]
    nodes.append(helper.make_node("Concat", ["mean"] * outputs, ["matte"], axis=1))
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    graph = helper.make_graph(nodes, "mean", [entry], [result], [axes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 10
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("side", [32, "side"])
@pytest.mark.parametrize("name", KINDS)
def test_each_kind_has_its_own_scales(tmp_path: Path, name: str, side: int | str):
    kind = KINDS[name]
    image = np.zeros((48, 64, 3), np.uint8)
    image[:, 32:] = (255, 128, 64)
    alpha = open_onnx(write_network(tmp_path / f"{name}.onnx", side=side), kind)(image)
    values = [((np.array(color) / 255 - kind.mean) / kind.deviation).mean() for color in ((0, 0, 0), (255, 128, 64))]
    if kind.logits:
        values = [1 / (1 + np.exp(-value)) for value in values]
    if kind.stretched:
        values = [0, 1]
    assert alpha.shape == (48, 64)
    assert alpha[24, 8] == pytest.approx(np.clip(values[0], 0, 1), abs=1e-3)
    assert alpha[24, 56] == pytest.approx(np.clip(values[1], 0, 1), abs=1e-3)


@pytest.mark.parametrize("long_hair", [True, False])
def test_the_matte_is_the_person_and_colours_part_it(tmp_path: Path, monkeypatch, long_hair: bool):
    clip, truth = drawn_clip(long_hair)
    known = {clip.load(k).tobytes(): truth[k] > 0 for k in range(COUNT)}
    monkeypatch.setattr(
        matting, "open_onnx", lambda path, kind: lambda image: known[image.tobytes()].astype(np.float32)
    )
    segmenter = MattingSegmenter(str(write_network(tmp_path / "modnet.onnx")), keyframes=COUNT, size=SIZE, neighbours=0)
    segmenter.fit(clip)
    for k in (3, 11):
        labels = segmenter(clip, k)
        assert ((labels > 0) == (truth[k] > 0)).mean() > 0.985
        for label in (Label.HEAD, Label.TORSO):
            both, either = (labels == label) & (truth[k] == label), (labels == label) | (truth[k] == label)
            assert both.sum() > 0.75 * either.sum(), label


def test_names_go_to_rembg(monkeypatch):
    class Session:
        def predict(self, picture):
            return [picture.convert("L")]

    def new_session(name):
        if name != "isnet-general-use":
            raise ValueError(f"No session class found for model '{name}'")
        return Session()

    monkeypatch.setitem(sys.modules, "rembg", SimpleNamespace(new_session=new_session))
    image = np.full((8, 8, 3), 51, np.uint8)
    assert open_rembg("isnet-general-use")(image) == pytest.approx(np.full((8, 8), 0.2), abs=0.01)
    with pytest.raises(UserError, match="rembg has no model nobody.*isnet-general-use"):
        open_rembg("nobody")
    monkeypatch.setitem(sys.modules, "rembg", None)
    with pytest.raises(UserError, match=r"rembg, which is not here.*talksplat\[matting\]"):
        open_rembg("isnet-general-use")


def test_what_cannot_be_used_is_named(tmp_path: Path):
    with pytest.raises(UserError, match="there is no such file"):
        MattingSegmenter(str(tmp_path / "none.onnx"))
    with pytest.raises(UserError, match="say what it is, one of isnet, u2net, modnet, birefnet"):
        MattingSegmenter(str(write_network(tmp_path / "mine.onnx")))
    assert MattingSegmenter(str(tmp_path / "mine.onnx"), kind="u2net").kind == "u2net"
    (tmp_path / "cut.onnx").write_bytes((tmp_path / "mine.onnx").read_bytes()[:60])
    with pytest.raises(UserError, match="cannot be opened as an ONNX network"):
        open_onnx(tmp_path / "cut.onnx", KINDS["u2net"])
    with pytest.raises(UserError, match="no single picture of three channels"):
        open_onnx(write_network(tmp_path / "four.onnx", channels=4), KINDS["u2net"])
    with pytest.raises(UserError, match="instead of one matte"):
        open_onnx(write_network(tmp_path / "two.onnx", outputs=2), KINDS["u2net"])(np.zeros((8, 8, 3), np.uint8))
    assert instantiate(compose("preprocess", ["features=x", "segmentation=matting"]).segmentation).kind is None


def test_a_matte_that_misses_the_faces_is_refused(tmp_path: Path):
    clip, _ = drawn_clip(False)
    segmenter = MattingSegmenter(str(write_network(tmp_path / "u2net.onnx")), keyframes=4, size=SIZE)
    clip.load = lambda position: np.zeros((SIZE, SIZE, 3), np.uint8)
    with pytest.raises(UserError, match="covers 0% of the faces.*segmentation=auto"):
        segmenter.fit(clip)
