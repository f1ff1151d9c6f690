"""The command learns from subject folders, and refuses what will not do before any work."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from talksplat import learn_lips as command
from talksplat.audio import MelFeatures
from talksplat.lips import LipPrior
from talksplat.media.sound import write_wav
from tests.helpers.tiny_subject import write_tiny_subject


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Three talking heads of 5 s; of the third a few frames are missing."""
    root = tmp_path_factory.mktemp("people")
    made = [write_tiny_subject(root / name, num_frames=125, size=24, seed=k) for k, name in enumerate("abc")]
    for number in (0, 50, 51):
        (made[2] / "ori_imgs" / f"{number}.lms").unlink()
    return made


def run(capsys, *arguments: str) -> tuple[int, str]:
    """Exit status and output of the command."""
    try:
        command.main(list(arguments))
        status = 0
    except SystemExit as stop:
        status = int(stop.code)
    shown = capsys.readouterr()
    return status, " ".join((shown.out + shown.err).split())


def test_a_prior_of_folders(folders, tmp_path, capsys):
    out, (a, b, c) = tmp_path / "prior.npz", folders
    status, text = run(capsys, f"subjects=[{a},{b}+{c}]", f"out={out}", "audio=mel", "note='drawn heads, free'")
    assert status == 0 and "holds the prior of 2 people for audio=mel" in text and "b+c" in text
    prior, mel = LipPrior.load(out), MelFeatures()
    prior.check_features("mel", mel.fingerprint(), mel.width)
    assert prior.people == ("a", "b+c") and prior.per_clip and prior.first_row == -16 and prior.weights.shape[1] == 22
    assert prior.scores["a"]["correlation"]["gap"] > 0.8 and prior.scores["b+c"]["seconds"] == pytest.approx(9.9)
    assert set(prior.scores["b+c"]["sound_late_ms"]) == {"b", "c"}
    assert "drawn heads, free" in prior.card and "a 5 s" in prior.card and str(a.parent) not in prior.card
    status, text = run(capsys, f"subjects=[{a},{b}]", f"out={out}", "audio=mel")
    assert status == 2 and "exists already" in text


def test_frames_are_at_their_numbers(folders):
    clip = command.read_clip(folders[2], MelFeatures())
    assert clip.frames[0] == 1 and len(clip.frames) == len(clip.measures) == 122 and len(clip.rows) == 250
    whole = command.read_clip(folders[1], MelFeatures())
    np.testing.assert_array_equal(whole.frames, np.arange(125))


def test_sound_that_is_off_is_told_with_what_to_do():
    scores = {"a": {"sound_late_ms": {"x": 105, "y": 30, "z": -200}, "certain": {"x": True, "y": True, "z": False}}}
    prior = LipPrior(
        "mel", np.zeros(1), 0, np.zeros((9, 1, 1)), np.zeros(9), False, (), np.zeros((6, 40)), ("a",), scores, ""
    )
    (line,) = command.late_sounds(prior, {"x": -20, "y": 0, "z": 0})
    assert "x: the sound is 105 ms late" in line and line.endswith("clip.sound_shift_ms=85")


def test_a_shift_made_before_is_known(folders, tmp_path):
    assert command.shift_of(folders[0]) == 0 and command.shift_of(tmp_path) == 0
    (tmp_path / "manifest.json").write_text('{"sound_shift_ms": 60}')
    assert command.shift_of(tmp_path) == 60


@pytest.mark.parametrize(
    "wishes, said",
    [
        (["subjects=[{a}]", "audio=mel"], "at least two"),
        (["subjects=[{a}+{b}]", "audio=mel"], "at least two"),
        (["subjects=[{a},{a}]", "audio=mel"], "have the same sound: give each clip once"),
        (["subjects=[{a},{b}]", "audio=deepspeech"], "audio=deepspeech features cannot be computed here"),
        (["subjects=[{a},{root}/nobody]", "audio=mel"], "nobody has no landmarks"),
        (["subjects=[{a},{root}/mute]", "audio=mel"], "mute/aud.wav is missing"),
        (["subjects=[{a},{root}/silent]", "audio=mel"], "aud.wav is silent"),
        (["subjects=[{a},{b}]", "audio=mel", "audio.extractor.rate=100"], "audio.extractor.rate=100"),
        (["subjects=[{a},{b}]", "audio=mel", "last_row=4"], "even number of rows"),
        (["subjects=[{a},{b}]", "audio=mel", "rows=4"], "rows"),
        (["audio=mel"], "missing setting subjects"),
    ],
)
def test_bad_input_is_one_line(folders, tmp_path, capsys, wishes, said):
    for name in ("mute", "silent"):
        shutil.copytree(folders[0], tmp_path / name)
    (tmp_path / "mute" / "aud.wav").unlink()
    write_wav(tmp_path / "silent" / "aud.wav", np.zeros(80000, np.float32))
    wishes = [wish.format(a=folders[0], b=folders[1], root=tmp_path) for wish in wishes]
    status, text = run(capsys, *wishes, f"out={tmp_path / 'prior.npz'}")
    assert status == 2 and text.startswith("error: ") and said in text
    assert not (tmp_path / "prior.npz").exists()


def test_help_shows_the_settings(capsys):
    status, text = run(capsys, "--help")
    assert status == 0 and "subjects: ???" in text
