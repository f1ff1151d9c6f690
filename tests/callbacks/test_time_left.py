"""Estimates of the time left, on a clock that the test sets."""

from __future__ import annotations

import pytest

from talksplat.callbacks.time_left import WINDOW_SECONDS, Part, TimeLeft


def two_stages() -> TimeLeft:
    """A static stage, one that costs twice as much a step, and frames to measure."""
    return TimeLeft(
        [
            Part("coarse", "canonical", 100, cost=1.0),
            Part("fine", "deform", 50, cost=2.0),
            Part("held-out frames", "measured", 10, cost=4.0),
        ]
    )


def train(left: TimeLeft, start: int, stop: int, now: float, seconds: float) -> float:
    """Steps that take `seconds` each; returns the time after them."""
    for step in range(start + 1, stop + 1):
        now += seconds
        left.update(now, step)
    return now


def test_parts_that_have_not_begun_are_guessed_by_their_cost() -> None:
    left = two_stages()
    left.begin("coarse", 0)
    now = train(left, 0, 20, 0.0, 1.0)
    estimate = left.measure(now)
    assert estimate.seconds == pytest.approx(80 * 1 + 50 * 2 + 10 * 4)
    assert estimate.guessed == pytest.approx(140 / 220)


def test_a_stage_that_has_begun_counts_as_measured() -> None:
    left = two_stages()
    left.begin("coarse", 0)
    now = train(left, 0, 100, 0.0, 1.0)
    left.measure(now)
    left.begin("fine", 0)
    assert left.measure(now).seconds == pytest.approx(50 * 2 + 10 * 4), "guessed from the stage before"
    now = train(left, 0, 25, now, 5.0)
    estimate = left.measure(now)
    assert estimate.seconds == pytest.approx(25 * 5 + 10 * 4 * 5 / 2), (
        "five seconds a step, not the two that were guessed"
    )
    now = train(left, 25, 50, now, 5.0)
    left.measure(now)
    left.begin("held-out frames", 0)
    now = train(left, 0, 5, now, 0.5)
    assert left.measure(now).seconds == pytest.approx(2.5)
    assert left.measure(now).guessed == 0


def test_compiling_does_not_spoil_the_speed() -> None:
    left = two_stages()
    left.begin("coarse", 0)
    now = train(left, 0, 1, 0.0, 90.0)  # kernels are compiled
    assert left.measure(now).seconds is None, "nothing is known from a step that compiles"
    now = train(left, 1, 12, now, 1.0)
    assert left.measure(now).seconds == pytest.approx(88 + 140)


def test_speed_is_that_of_the_last_minute() -> None:
    left = two_stages()
    left.begin("coarse", 0)
    now = train(left, 0, 20, 0.0, 1.0)
    now = train(left, 20, 60, now, 3.0)  # twice as many Gaussians
    left.measure(now)
    assert left.parts[0].seconds == pytest.approx(3.0, rel=0.05)
    assert WINDOW_SECONDS < 40 * 3, "otherwise this says nothing"


def test_a_resumed_run_counts_from_where_it_is() -> None:
    left = two_stages()
    left.begin("fine", 30)
    assert left.fraction == pytest.approx((100 + 60) / 240)
    assert left.measure(1000.0).seconds is None
    now = train(left, 30, 40, 1000.0, 2.0)
    assert left.measure(now).seconds == pytest.approx(10 * 2 + 10 * 4), "the first 30 steps were not done in no time"


def test_fraction_never_falls() -> None:
    left = two_stages()
    seen, now = [], 0.0
    for part in left.parts:
        left.begin(part.name, 0)
        for step in range(part.total + 1):
            left.update(now, step)
            left.measure(now)
            seen.append(left.fraction)
            now += 1.0
    assert seen == sorted(seen) and seen[0] == 0 and seen[-1] == pytest.approx(1)


def test_few_samples_are_kept() -> None:
    """A step of a millisecond must not fill a window with thousands."""
    left = TimeLeft([Part("coarse", "canonical", 10**6, 1.0)])
    left.begin("coarse", 0)
    train(left, 0, 200_000, 0.0, 0.001)
    assert len(left._samples) <= WINDOW_SECONDS / 0.5 + 2
