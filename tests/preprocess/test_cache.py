"""Steps are kept, made again when something changed, and taken up after an interruption."""

from __future__ import annotations

import pytest

from talksplat.errors import UserError
from talksplat.files import content_hash, write_bytes
from talksplat.preprocess.cache import StepCache


def test_a_step_runs_once_until_inputs_or_version_change(tmp_path):
    calls = []

    def compute(folder):
        calls.append(folder)
        write_bytes(folder / "value.txt", str(len(calls)).encode())
        return {"calls": len(calls)}

    cache = StepCache(tmp_path / "work")
    first = cache.run("step", 1, {"a": 1}, compute)
    again = StepCache(tmp_path / "work").run("step", 1, {"a": 1}, compute)
    assert (first.cached, again.cached, len(calls)) == (False, True, 1)
    assert again.key == first.key and again.summary == {"calls": 1} and again.seconds == first.seconds
    changed = cache.run("step", 1, {"a": 2}, compute)
    assert changed.key != first.key and (changed.folder / "value.txt").read_text() == "2"
    assert cache.run("step", 2, {"a": 2}, compute).cached is False
    assert len(calls) == 3


def test_an_interrupted_step_finds_what_it_had_written(tmp_path):
    cache = StepCache(tmp_path)
    made = []

    def compute(folder, stop_at):
        for i in range(5):
            if i == stop_at:
                raise KeyboardInterrupt
            if not (folder / f"{i}").is_file():
                made.append(i)
                write_bytes(folder / f"{i}", b"x")

    with pytest.raises(KeyboardInterrupt):
        cache.run("step", 1, {}, lambda folder: compute(folder, 3))
    assert not (tmp_path / "step").exists()
    result = cache.run("step", 1, {}, lambda folder: compute(folder, None))
    assert made == [0, 1, 2, 3, 4]
    assert not result.cached and len(list(result.folder.glob("[0-9]"))) == 5
    assert not list(tmp_path.glob(".*partial"))


def test_leftovers_of_other_inputs_are_not_used(tmp_path):
    cache = StepCache(tmp_path)

    def broken(folder):
        write_bytes(folder / "old", b"x")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.run("step", 1, {"a": 1}, broken)
    result = cache.run("step", 1, {"a": 2}, lambda folder: {"files": sorted(p.name for p in folder.iterdir())})
    assert result.summary == {"files": []}


def test_a_damaged_record_means_again(tmp_path):
    cache = StepCache(tmp_path)
    cache.run("step", 1, {}, lambda folder: {})
    (tmp_path / "step" / "step.json").write_text("{")
    assert cache.run("step", 1, {}, lambda folder: {}).cached is False


def test_writing_is_atomic_and_failures_are_clear(tmp_path):
    write_bytes(tmp_path / "a", b"1")
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert content_hash(tmp_path / "a").startswith("6b86b273")
    with pytest.raises(UserError, match="cannot write"):
        write_bytes(tmp_path / "missing" / "a", b"1")
