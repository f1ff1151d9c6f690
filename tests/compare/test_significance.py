from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from talksplat.compare.tables.significance import block_length, frame_interval, holm, seed_interval


def walk(rng, count, correlation):
    """Values of neighbouring frames: an autoregressive series of mean 0 and variance 1."""
    noise, values = rng.standard_normal(count + 100), np.zeros(count + 100)
    for i in range(1, count + 100):
        values[i] = correlation * values[i - 1] + np.sqrt(1 - correlation**2) * noise[i]
    return values[100:]


def share_of_misses(test, correlation, count=300, trials=300):
    rng = np.random.default_rng(0)
    return np.mean([test(walk(rng, count, correlation)) for _ in range(trials)])


def finds_a_difference(series):
    found = frame_interval(series).p
    return found is not None and found < 0.05


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.8])
def test_frames_that_resemble_their_neighbours_are_no_evidence(correlation):
    """Where there is no difference, 5 % of the tests should find one; a t test over frames finds many more."""
    ours = share_of_misses(finds_a_difference, correlation)
    naive = share_of_misses(lambda x: stats.ttest_1samp(x, 0).pvalue < 0.05, correlation)
    assert ours < 0.10
    if correlation:
        assert naive > 0.2


def test_a_real_difference_is_found_and_its_interval_holds_it():
    series = 0.5 + walk(np.random.default_rng(1), 500, 0.5)
    found = frame_interval(series)
    assert found.p < 0.001 and 0 < found.low < 0.5 < found.high and found.mean == pytest.approx(series.mean())
    assert frame_interval(series) == found, "no random numbers are drawn"


def test_the_error_is_that_of_a_circular_block_bootstrap():
    series = walk(np.random.default_rng(2), 200, 0.7)
    found = frame_interval(series)
    rng, blocks = np.random.default_rng(3), len(series) // found.block
    starts = rng.integers(0, len(series), (4000, blocks))
    resampled = series[(starts[..., None] + np.arange(found.block)) % len(series)].mean((1, 2))
    half = stats.t.ppf(0.975, len(series) / found.block - 1) * resampled.std()
    assert found.high - found.mean == pytest.approx(half, rel=0.2)


def test_blocks_grow_with_the_correlation():
    lengths = [block_length(walk(np.random.default_rng(4), 600, correlation)) for correlation in (0.0, 0.6, 0.9)]
    assert lengths[0] < lengths[1] < lengths[2]


def test_few_frames_say_nothing_and_constants_do():
    few = frame_interval(np.ones(8))
    assert (few.mean, few.low, few.p) == (1.0, None, None)
    assert frame_interval(np.zeros(100)).p == 1 and frame_interval(np.full(100, 0.1)).p < 1e-9
    assert frame_interval(np.ones(1)).p is None


def test_seeds_are_independent():
    values = np.array([0.1, 0.3, 0.2])
    found, expected = seed_interval(values), stats.ttest_1samp(values, 0)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert seed_interval(np.array([0.1])).p is None


def test_holm():
    assert holm([0.04, 0.01, None, 0.03]) == [pytest.approx(0.06), pytest.approx(0.03), None, pytest.approx(0.06)]
    assert holm([0.9, 0.8]) == [1.0, 1.0]
