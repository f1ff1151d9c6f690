"""Phone posteriors: at the right time, the same in chunks, for any length, and nothing left on disk."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import soxr

from talksplat.errors import UserError
from talksplat.preprocess.audio_features import phones
from talksplat.preprocess.audio_features.phones import PHONES, PhoneFeatures
from talksplat.preprocess.speech import SPEECH_RATE, speak

SIL = PHONES.index("SIL")


@pytest.fixture(autouse=True)
def installed(request: pytest.FixtureRequest) -> None:
    if "without" not in request.node.name:
        pytest.importorskip("pocketsphinx", reason='phones need pip install "talksplat[phones]"')


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files of its own."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def noise(seconds: float, loudness: float = 0.01, seed: int = 0) -> np.ndarray:
    return (loudness * np.random.default_rng(seed).normal(size=round(16000 * seconds))).astype(np.float32)


def speech(text: str) -> np.ndarray:
    return soxr.resample(speak(text), SPEECH_RATE, 16000)


def test_windows_and_posteriors(temporary: Path) -> None:
    samples = speech("Hello world, this is a talking head.")
    features = PhoneFeatures()
    rows, windows = features.rows(samples), features(samples)
    assert rows.shape == (round(len(samples) / 320), 42) and rows.dtype == np.float32
    assert windows.shape == (-(-len(rows) // 2), 16, 42)
    np.testing.assert_array_equal(windows[10], rows[12:28])
    np.testing.assert_allclose(rows.sum(1), 1, atol=1e-5)
    assert rows.min() >= 0 and len(set(rows.argmax(1))) > 10
    assert PhoneFeatures(window=2, first_row=0)(samples, num_frames=7).shape == (7, 2, 42)
    assert not list(temporary.iterdir())


@pytest.mark.parametrize("count", [0, 1, 159, 479, 481, 800, 16000, 16161])
def test_number_of_rows_for_any_length(count: int) -> None:
    rows = PhoneFeatures().rows(noise(2)[:count])
    assert rows.shape == (max(round(count / 320), 1), 42) and np.isfinite(rows).all()
    np.testing.assert_allclose(rows.sum(1), 1, atol=1e-5)


def test_phones_are_those_of_the_model() -> None:
    names = (phones.english_model() / "en-us" / "mdef").read_bytes()
    names = names[names.index(b"+NSN+\0") :].split(b"\0")[: len(PHONES)]
    assert tuple(name.decode() for name in names) == PHONES


@pytest.mark.parametrize(("word", "vowel"), [("see", "IY"), ("mama", "M"), ("zoo", "UW")])
def test_phones_are_heard(word: str, vowel: str) -> None:
    rows = PhoneFeatures().rows(speech(f"{word}, {word}"))
    heard = np.argsort(-np.delete(rows, SIL, 1).max(0))[:3]
    assert vowel in [np.delete(PHONES, SIL)[i] for i in heard]


def test_silence_is_silence() -> None:
    rows = PhoneFeatures().rows(np.zeros(8000, np.float32))
    assert rows.shape == (25, 42) and set(rows.argmax(1)) == {SIL}
    assert np.ptp(rows, 0).max() < 1e-6
    said = speech("Hello world.")
    rows = PhoneFeatures().rows(np.concatenate([said, np.zeros(16000, np.float32), said]))
    first = len(said) // 320 + 5
    assert set(rows[first : first + 40].argmax(1)) == {SIL}


@pytest.mark.parametrize("at", [1.0, 1.21, 1.33])
def test_a_click_moves_the_rows_around_its_time(at: float) -> None:
    """Deltas reach 40 ms to each side; the noise removal remembers the click for longer, but only afterwards."""
    quiet = noise(3)
    clicked, place = quiet.copy(), round(at * 16000)
    clicked[place - 40 : place + 40] += noise(0.005, 0.5, seed=1)
    moved = np.abs(PhoneFeatures().rows(clicked) - PhoneFeatures().rows(quiet)).mean(1)
    moved = np.maximum(moved - np.median(moved), 0)
    time = (np.arange(len(moved)) + 0.5) / 50
    near = np.abs(time - at) < 0.061
    assert abs(np.average(time[near], weights=moved[near]) - at) < 0.01
    assert moved[time < at - 0.061].max() < 0.2 * moved[near].mean()


@pytest.mark.parametrize("at", [1.0, 1.21, 1.33])
def test_an_onset_is_found_within_a_row(at: float) -> None:
    place, samples = round(at * 16000), noise(3, 1e-4)
    samples[place:] = noise(3, 0.1, seed=1)[place:]
    rows = PhoneFeatures().rows(samples)
    row = round(at * 50)
    before, after = rows[: row - 10].mean(0), rows[row + 10 :].mean(0)
    share = (rows - before) @ (after - before) / ((after - before) @ (after - before))
    assert abs(np.flatnonzero(share > 0.5)[0] - at * 50) <= 1


def test_chunks_equal_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the bit, as noise removal and mean are of the whole recording."""
    samples = np.concatenate(
        [speech("Hello world."), np.zeros(4000, np.float32), noise(1, 0.1), speech("How are you?")]
    )
    features = PhoneFeatures()
    whole = features.rows(samples)
    assert len(whole) * 2 < phones.CHUNK
    monkeypatch.setattr(phones, "CHUNK", 62)
    np.testing.assert_array_equal(features.rows(samples), whole)
    monkeypatch.setattr(phones, "OVERLAP", 0)
    assert np.abs(features.rows(samples) - whole).max() > 0.01  # so the neighbours do matter


def test_the_same_whatever_came_before_and_however_loud() -> None:
    samples, features = speech("One, two, three."), PhoneFeatures()
    first = features.rows(samples)
    features.rows(noise(1, 0.3))
    np.testing.assert_array_equal(features.rows(samples), first)
    np.testing.assert_array_equal(PhoneFeatures().rows(samples), first)
    assert np.abs(features.rows(0.5 * samples) - first).mean() < 0.05 * first.std()  # 16 bits make the difference
    assert np.isfinite(features.rows(20 * samples)).all()  # clipped


@pytest.mark.parametrize("step", ["_cepstra", "_posteriors"])
def test_nothing_is_left_after_an_error(step: str, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments) -> None:
        raise RuntimeError(step)

    monkeypatch.setattr(phones, step, fail)
    with pytest.raises(RuntimeError, match=step):
        PhoneFeatures().rows(noise(0.5))
    assert not list(temporary.iterdir())


@pytest.mark.parametrize(("ending", "kept"), [(".mfc", 0), (".mfc", 700), (".sen", 0), (".sen", 100_000)])
def test_logs_that_break_off(ending: str, kept: int, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take_log = phones._take_log
    cut = lambda scratch, asked: take_log(scratch, asked)[: kept if asked == ending else None]
    monkeypatch.setattr(phones, "_take_log", cut)
    with pytest.raises(UserError, match=r"only \d+ of 50 frames were written to .*: make room there.*TMPDIR"):
        PhoneFeatures().rows(noise(0.5))
    assert not list(temporary.iterdir())


def test_a_full_disk(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(phones.shutil, "disk_usage", lambda path: usage(0, 0, 3 << 20))
    with pytest.raises(UserError, match=r"needs 16 MB in .*, where 3 MB are left: make room there.*TMPDIR"):
        PhoneFeatures().rows(noise(0.5))
    assert not list(temporary.iterdir())
    monkeypatch.setattr(tempfile, "tempdir", str(temporary / "none"))
    with pytest.raises(UserError, match="cannot write its temporary files.*No such file.*TMPDIR"):
        PhoneFeatures().rows(noise(0.5))


def test_identity_has_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    identity = PhoneFeatures().identity()
    assert json.loads(json.dumps(identity)) == identity
    assert PhoneFeatures(window=8).identity() != identity
    monkeypatch.setattr(phones, "version", lambda package: "0")
    assert PhoneFeatures().identity() != identity


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(UserError, match=r'pip install "talksplat\[phones\]"'):
        PhoneFeatures()


def test_without_the_model_of_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = namedtuple("package", "get_model_path")(lambda name: str(tmp_path / name))
    monkeypatch.setattr(phones, "pocketsphinx", lambda: package)
    with pytest.raises(UserError, match="no English model in .*en-us"):
        PhoneFeatures()


def test_module_loads_without_the_package() -> None:
    code = "import sys, talksplat.preprocess.audio_features.phones; sys.exit('pocketsphinx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
