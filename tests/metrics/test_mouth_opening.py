from __future__ import annotations

import numpy as np
import pytest

from talksplat.metrics.mouth_opening import mouth_opening_correlation, pearson


def test_pearson_equals_numpy_and_needs_variation():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=20), rng.normal(size=20)
    assert pearson(a, b) == pytest.approx(np.corrcoef(a, b)[0, 1])
    assert pearson(a, 3 - 2 * a) == pytest.approx(-1)
    assert pearson(a, np.ones(20)) is None and pearson([0, 1], [0, 1]) is None


def test_opening_is_measured_in_each_image_from_its_camera():
    truth = np.linspace(0, 1, 8)
    images = [np.full((4, 4, 3), round(200 * opening), np.uint8) for opening in truth]
    viewmats = np.stack([np.eye(4) * (k + 1) for k in range(8)])
    seen = []

    def estimate(image, viewmat):
        seen.append(viewmat[0, 0])
        return image.mean()

    value, reason = mouth_opening_correlation(images, viewmats, truth, estimate)
    assert value == pytest.approx(1, abs=1e-4) and reason is None and seen == list(range(1, 9))


def test_without_truth_or_motion_there_is_a_reason():
    images, viewmats = [np.zeros((2, 2, 3), np.uint8)] * 4, np.stack([np.eye(4)] * 4)
    value, reason = mouth_opening_correlation(images, viewmats, None, None)
    assert value is None and "sample" in reason
    value, reason = mouth_opening_correlation(images, viewmats, [0, 1, 2, 3], lambda image, viewmat: 0.5)
    assert value is None and "does not move" in reason
