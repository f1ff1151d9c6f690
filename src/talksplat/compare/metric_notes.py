"""What runs say about their metrics, for columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from talksplat.compare.load.run import RunResult

BETTER = {"higher": +1, "lower": -1, "neither": 0}


@dataclass(frozen=True)
class MetricNote:
    """Title of a metric's column, digits after the point, and +1 where more is better, -1 where less is, 0 where neither."""

    title: str
    digits: int
    better: int


# The order of columns; and what metrics.json did not say before it had "metrics".
KNOWN = {
    "psnr": MetricNote("PSNR", 2, +1),
    "ssim": MetricNote("SSIM", 4, +1),
    "lpips": MetricNote("LPIPS (off)", 4, -1),
    "psnr_head": MetricNote("head PSNR", 2, +1),
    "psnr_mouth": MetricNote("mouth PSNR", 2, +1),
    "psnr_composite": MetricNote("composite PSNR", 2, +1),
    "lmd": MetricNote("LMD (px)", 3, -1),
    "mouth_correlation": MetricNote("mouth correlation", 3, +1),
    "lip_gap_correlation": MetricNote("lip-gap correlation", 3, +1),
}


def metric_notes(runs: Sequence[RunResult]) -> dict[str, MetricNote]:
    """All metrics of these runs by name; of several that describe one, the first that has measured it counts."""
    found = dict(KNOWN)
    names = dict.fromkeys([*KNOWN, *(name for run in runs for name in run.metrics.get("metrics", {}))])
    for name in names:
        for run in sorted(runs, key=lambda run: run.mean(name) is None):
            note = _note(run, name)
            if note is not None:
                found[name] = note
                break
    return found


def _note(run: RunResult, name: str) -> MetricNote | None:
    note: dict[str, Any] | None = run.metrics.get("metrics", {}).get(name)
    if note is not None:
        return MetricNote(note["title"], note["digits"], BETTER.get(note["direction"], 0))
    backbone = re.search(r"backbone: (\w+)", run.metrics["definitions"].get("lpips", "")) if name == "lpips" else None
    if backbone and backbone[1] != "not":
        return MetricNote(f"LPIPS ({backbone[1]})", KNOWN["lpips"].digits, KNOWN["lpips"].better)
    return None
