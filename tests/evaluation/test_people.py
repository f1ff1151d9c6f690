"""Means of the measurements of several people."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from talksplat.evaluation import people
from talksplat.metrics.table import print_metrics

PERSON = {
    "split": "test",
    "chosen_on": "test",
    "subject": "folder",
    "identity": {"frames": "f", "masks": "m"},
    "resolution": [48, 48],
    "num_gaussians": 100,
    "parameters": {"networks": 1000, "gaussians": 5900},
    "size_bytes": 27600,
    "fps": 10.0,
    "definitions": {"psnr": "a", "lmd": "b"},
    "metrics": {"psnr": {"title": "PSNR"}},
    "mean": {"psnr": 20.0, "lmd": 2.0},
    "reasons": {},
    "notes": {},
    "frames": [],
    "train": {"mean": {"psnr": 30.0, "lmd": None}, "reasons": {"lmd": "too slow"}},
}


def combined(monkeypatch, tmp_path, **changes) -> dict:
    measured = {name: {**PERSON, **change} for name, change in changes.items()}
    monkeypatch.setattr(people, "evaluate_run", lambda config, renderer, data, folder, progress: measured[folder.name])
    data = SimpleNamespace(portraits=dict.fromkeys(measured))
    metrics = people.evaluate_people({}, lambda name: None, data, tmp_path, None)
    assert json.loads((tmp_path / "metrics.json").read_text()) == metrics
    assert metrics["subjects"] == measured
    print_metrics(metrics, tmp_path)
    return metrics


def test_size_and_speed_are_means_too(monkeypatch, tmp_path):
    other = {
        "num_gaussians": 301,
        "fps": 20.0,
        "size_bytes": 50_001,
        "parameters": {"networks": 1000, "gaussians": 100},
    }
    metrics = combined(monkeypatch, tmp_path, anna={}, ben=other)
    assert (metrics["num_gaussians"], metrics["fps"], metrics["size_bytes"]) == (200, 15.0, 38_800)
    assert metrics["parameters"] == {"networks": 1000, "gaussians": 3000}
    assert metrics["resolution"] == [48, 48] and "resolution" not in metrics["notes"]
    for name in ("psnr", "lmd", "num_gaussians", "parameters", "size_bytes", "fps"):
        assert metrics["notes"][name] == "mean over 2 subjects"


def test_people_of_other_sizes_are_named(monkeypatch, tmp_path):
    metrics = combined(monkeypatch, tmp_path, anna={}, ben={"resolution": [64, 96]}, carla={"fps": None})
    assert metrics["resolution"] == [53, 64]
    assert metrics["notes"]["resolution"] == "mean over 3 subjects; anna: 48x48; ben: 64x96; carla: 48x48"
    assert metrics["fps"] is None  # one was not timed


def test_notes_and_reasons_say_whose_they_are(monkeypatch, tmp_path):
    anna = {"notes": {"lmd": "no face found in 1 rendering"}, "mean": {"psnr": 20.0, "lmd": 2.0}}
    ben = {"reasons": {"lmd": "no face"}, "mean": {"psnr": 22.0, "lmd": None}}
    metrics = combined(monkeypatch, tmp_path, anna=anna, ben=ben)
    assert metrics["mean"] == {"psnr": 21.0, "lmd": None}
    assert metrics["reasons"] == {"lmd": "ben: no face"}
    assert metrics["train"] == {"mean": {"psnr": 30.0, "lmd": None}, "reasons": {"lmd": "too slow"}}  # of everybody
    metrics = combined(monkeypatch, tmp_path, anna=anna, ben={})
    assert metrics["notes"]["lmd"] == "mean over 2 subjects; anna: no face found in 1 rendering"
    assert metrics["mean"]["lmd"] == pytest.approx(2.0) and metrics["reasons"] == {}
