"""Scores averaged along the motion: flicker goes, what moves fast stays where it is; shared results are computed once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from talksplat.preprocess.segmentation.temporal import ScoredView, SharedResults, filtered_scores

SIZE = 96


def texture(seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (SIZE, SIZE, 3)).astype(np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 4.0), None, 20, 235, cv2.NORM_MINMAX)


def frame(left: int) -> tuple[np.ndarray, np.ndarray]:
    """A square with one texture over another; its label is 1."""
    image, labels = texture(0).copy(), np.zeros((SIZE, SIZE), int)
    image[30:62, left : left + 32] = texture(1)[30:62, 30:62]
    labels[30:62, left : left + 32] = 1
    return image, labels


def scored(image: np.ndarray, labels: np.ndarray, certain: float = 3.0) -> ScoredView:
    scores = np.where(np.eye(2)[labels] > 0, 0.0, -certain).astype(np.float32)
    return ScoredView(SimpleNamespace(image=image), scores, image, np.zeros(labels.shape, bool))


def test_a_patch_that_flickers_in_one_frame_is_put_right():
    frames = {apart: frame(32 + 2 * apart) for apart in (-2, -1, 0, 1, 2)}
    image, truth = frames[0]
    wrong = truth.copy()
    wrong[40:52, 40:52] = 0
    neighbours = {apart: scored(*frames[apart]) for apart in (-2, -1, 1, 2)}
    found = filtered_scores(scored(image, wrong), neighbours).argmax(-1)
    assert (found[40:52, 40:52] == 1).mean() > 0.95
    assert (found != truth).mean() < 0.02


def test_motion_that_the_flow_cannot_follow_is_not_smeared():
    frames = {apart: frame(32 + 31 * apart) for apart in (-1, 0, 1)}
    image, truth = frames[0]
    found = filtered_scores(scored(image, truth), {apart: scored(*frames[apart]) for apart in (-1, 1)}).argmax(-1)
    assert (found != truth).mean() < 0.01


def test_no_neighbours_leave_scores_as_they_are():
    own = scored(*frame(20))
    np.testing.assert_array_equal(filtered_scores(own, {}), own.scores)


def test_results_are_shared_between_threads_and_forgotten():
    computed, lock = [], threading.Lock()

    def compute(number: int) -> int:
        with lock:
            computed.append(number)
        return number * number

    results = SharedResults(capacity=4)
    with ThreadPoolExecutor(8) as pool:
        values = list(pool.map(lambda _: results.get(3, compute), range(64)))
    assert values == [9] * 64 and computed == [3]
    for number in range(10, 15):
        results.get(number, compute)
    results.get(3, compute)
    assert computed.count(3) == 2


def test_an_error_reaches_all_who_wait():
    def fail(number: int) -> int:
        raise ValueError("broken")

    results = SharedResults(capacity=4)
    for _ in range(2):
        with pytest.raises(ValueError, match="broken"):
            results.get(0, fail)
