from __future__ import annotations

from talksplat.compare.tables.results import marks, ranks


def marked(values, better=+1, spreads=()):
    return marks(values, [f"{value}" for value in values], better, spreads)


def test_best_and_second_best():
    assert marked([1.0, 3.0, 2.0]) == [None, "best", "second"]
    assert marked([1.0, 3.0, 2.0], -1) == ["best", None, "second"]
    assert marked([None, 3.0, 2.0]) == [None, "best", "second"]
    assert marked([2.0, 3.0]) == [None, "best"], "of two the other needs no mark"
    assert marked([1.0]) == marked([1.0, 2.0], 0)[:1] == [None]


def test_what_spread_cannot_tell_apart_shares_a_mark():
    # The root of 0.3² + 0.4² is 0.5.
    assert marked([10.0, 9.5, 8.0], spreads=[0.3, 0.4, 0.0]) == ["best", "best", "second"]
    assert marked([10.0, 9.49, 8.0], spreads=[0.3, 0.4, 0.0]) == ["best", "second", None]
    assert marked([10.0, 9.8, 9.7], spreads=[None, 0.2, None]) == ["best", "best", "second"]
    assert marked([10.0, 8.0, 7.9], spreads=[0.1, 0.1, 0.1]) == ["best", "second", "second"]


def test_what_looks_the_same_is_marked_the_same():
    assert marks([1.001, 1.002, 0.5], ["1.00", "1.00", "0.50"], 1) == ["best", "best", "second"]


def test_equal_values_share_a_rank():
    assert ranks([3.0, 1.0, 3.0, 2.0], +1) == [1.5, 4.0, 1.5, 3.0]
    assert ranks([3.0, 1.0, 3.0, 2.0], -1) == [3.5, 1.0, 3.5, 2.0]
