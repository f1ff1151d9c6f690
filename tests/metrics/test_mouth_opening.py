from __future__ import annotations

import numpy as np
import pytest
import torch

from talksplat.data.sample import SampleSubject
from talksplat.metrics import Clip, MetricSuite
from talksplat.metrics.mouth_opening import MouthCorrelation, pearson
from talksplat.subject_format.subject import Subject
from tests.losses.bundles import make_batch

TRUTH = np.linspace(0, 1, 8)


def test_pearson_equals_numpy_and_needs_variation():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=20), rng.normal(size=20)
    assert pearson(a, b) == pytest.approx(np.corrcoef(a, b)[0, 1])
    assert pearson(a, 3 - 2 * a) == pytest.approx(-1)
    assert pearson(a, np.ones(20)) is None and pearson([0, 1], [0, 1]) is None


def sample_clip(**changes) -> Clip:
    """Eight frames of the embedded sample, numbered from 10."""
    signals = {"manifest": {"generator_version": 1, "resolution": 64, "seed": 0}, "frame_ids": np.arange(10, 18)}
    subject = object.__new__(Subject)
    subject.__dict__.update({"true_signals": {"mouth_opening": TRUTH}, **signals, **changes})
    return Clip(subject=subject)


def measure(clip: Clip) -> dict:
    suite = MetricSuite({"mouth_correlation": MouthCorrelation()}, clip)
    for first in range(0, 8, 2):
        batch = make_batch()
        batch.frame_ids += first
        batch.conditions.viewmats = torch.eye(4) * (first + torch.arange(2.0))[:, None, None]
        suite.update(torch.zeros(2, 32, 32, 3) + torch.from_numpy(TRUTH[first : first + 2])[:, None, None, None], batch)
    return suite.compute()


def test_opening_is_measured_in_each_image_from_its_camera(monkeypatch):
    seen = []

    def estimate(_, image, viewmat):
        seen.append(viewmat[0, 0])
        return image.mean() / 255

    monkeypatch.setattr(SampleSubject, "estimate_opening", estimate)
    result = measure(sample_clip())
    assert result["mean"]["mouth_correlation"] == pytest.approx(1, abs=1e-4) and result["reasons"] == {}
    assert seen == list(range(8))
    assert [frame["mouth_opening"] for frame in result["frames"]] == pytest.approx(TRUTH, abs=3e-3)


def test_without_truth_or_motion_there_is_a_reason(monkeypatch):
    monkeypatch.setattr(SampleSubject, "estimate_opening", lambda *_: 0.5)
    for clip in (Clip(), sample_clip(true_signals={}), sample_clip(manifest={})):
        result = measure(clip)
        assert result["mean"] == {"mouth_correlation": None} and "sample" in result["reasons"]["mouth_correlation"]
        assert "mouth_correlation" not in result["metrics"]  # a table has no column for what does not apply
    result = measure(sample_clip())
    assert "does not move" in result["reasons"]["mouth_correlation"] and "mouth_correlation" in result["metrics"]
