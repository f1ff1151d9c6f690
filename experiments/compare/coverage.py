"""How often a difference is found where there is none: `python experiments/compare/coverage.py`.

Autoregressive series without a difference stand for the frames of a video.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from talksplat.compare.tables.significance import LEVEL, frame_interval

TRIALS = 1000
WARM_UP = 200


def series(rng: np.random.Generator, count: int, correlation: float) -> np.ndarray:
    """`count` values, each correlated so with the next."""
    noise, values = rng.standard_normal(count + WARM_UP), np.zeros(count + WARM_UP)
    for i in range(1, len(values)):
        values[i] = correlation * values[i - 1] + noise[i]
    return values[WARM_UP:]


def main() -> None:
    """Print a Markdown table."""
    rng = np.random.default_rng(0)
    print(
        "| frames | correlation of neighbours | a t test over frames finds one | ours finds one | ours says nothing | block (frames) |"
    )
    print("|---|---|---|---|---|---|")
    for count in (25, 50, 100, 300, 700):
        for correlation in (0.0, 0.5, 0.8, 0.95):
            print(line(rng, count, correlation))


def line(rng: np.random.Generator, count: int, correlation: float) -> str:
    """One setting."""
    naive, found, blocks = 0, [], []
    for _ in range(TRIALS):
        values = series(rng, count, correlation)
        naive += stats.ttest_1samp(values, 0).pvalue < LEVEL
        interval = frame_interval(values)
        blocks.append(interval.block)
        if interval.p is not None:
            found.append(interval.p < LEVEL)
    claims, silent = sum(found) / TRIALS, 1 - len(found) / TRIALS
    return f"| {count} | {correlation} | {naive / TRIALS:.1%} | {claims:.1%} | {silent:.0%} | {np.median(blocks):.0f} |"


if __name__ == "__main__":
    main()
