from __future__ import annotations

import pytest
import torch

from talksplat.config import compose
from talksplat.errors import UserError
from talksplat.rendering.request import check_request, choose_device, overrides_of


def request(tmp_path, *overrides):
    return compose("render", overrides_of(["checkpoint=last.ckpt", f"output={tmp_path / 'a.mp4'}", *overrides]))


@pytest.mark.parametrize(
    "text",
    [
        "Hello",
        "Hello, world: this is {a} [test] = 5!",
        "It's John's \"head\"",
        "back\\slash and end\\",
        "a\\'b",
        "50% (or so), $5",
        "你好，世界",
        " padded ",
        "null and void",
        "1e5",
    ],
)
def test_any_sentence_or_path_passes_the_command_line(tmp_path, text):
    assert request(tmp_path, f"text={text}").text == text
    assert request(tmp_path, f"audio=/a b/{text}.wav").audio_file == f"/a b/{text}.wav"


def test_values_that_mean_something_to_hydra_are_left_alone(tmp_path):
    assert request(tmp_path, "audio=a.wav", "text=null").text is None
    assert request(tmp_path, "text='quoted, already'").text == "quoted, already"
    assert request(tmp_path, "text=hi", "camera=orbit", "camera.degrees=30").camera.degrees == 30


@pytest.mark.parametrize("overrides", [[], ["audio=a.wav", "text=hi"], ["audio=a.wav", "split=test", "text=hi"]])
def test_exactly_one_source(tmp_path, overrides):
    with pytest.raises(UserError, match="exactly one of"):
        check_request(request(tmp_path, *overrides))


@pytest.mark.parametrize(
    "overrides, words",
    [
        (["text=a", "sound=b.wav"], "sound="),
        (["text=a", "batch_size=0"], "batch_size=0"),
        (["text=a", "precision=int8"], "precision=int8"),
        (["text=a", "crf=99"], "crf=99"),
        (["text=a", "output=a.avi"], "end with .mp4"),
    ],
)
def test_bad_settings_are_named(tmp_path, overrides, words):
    with pytest.raises(UserError, match=words):
        check_request(request(tmp_path, *overrides))


def test_unknown_settings_are_refused(tmp_path):
    with pytest.raises(UserError, match="voce"):
        request(tmp_path, "text=a", "+voce=en")
    with pytest.raises(UserError, match="camera.speed"):
        request(tmp_path, "text=a", "+camera.speed=2")
    with pytest.raises(UserError, match="checkpoint"):
        compose("render", ["text=a"])


def test_nothing_is_overwritten_unasked(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"old")
    with pytest.raises(UserError, match="a.mp4 exists already.*overwrite=true"):
        check_request(request(tmp_path, "text=a"))
    assert check_request(request(tmp_path, "text=a", "overwrite=true")) == tmp_path / "a.mp4"
    with pytest.raises(UserError, match="is the audio itself"):
        check_request(request(tmp_path, f"audio={tmp_path / 'a.mp4'}", "overwrite=true"))
    (tmp_path / "a.mp4").unlink()
    (tmp_path / "a.metrics.json").write_text("{}")
    with pytest.raises(UserError, match="a.metrics.json exists"):
        check_request(request(tmp_path, "split=test"))
    (tmp_path / "a_maps.png").write_bytes(b"old")
    for setting in ("attention=true", "deformation=true"):
        with pytest.raises(UserError, match="a_maps.png exists already.*overwrite=true"):
            check_request(request(tmp_path, "text=a", setting))
    assert check_request(request(tmp_path, "text=a"))  # which writes no such picture
    (tmp_path / "b.mp4").mkdir()
    with pytest.raises(UserError, match="is a folder"):
        check_request(request(tmp_path, "text=a", f"output={tmp_path / 'b.mp4'}"))


def test_devices():
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    for name in ("tpu", "meta", "cuda:99"):
        with pytest.raises(UserError, match=f"device={name}"):
            choose_device(name)
