"""The head of the page."""

from __future__ import annotations

from collections.abc import Sequence

from talksplat.compare.groups import SeedGroup
from talksplat.compare.run_result import RunResult


def page_about(runs: Sequence[RunResult], groups: Sequence[SeedGroup]) -> list[tuple[str, str]]:
    """What was compared: names and values."""
    metrics = runs[0].metrics
    width, height = metrics["resolution"]
    return [
        ("subject", str(metrics["subject"])),
        ("frames", f"{len(metrics['frames'])} of the split {runs[0].split}"),
        (
            "chosen on",
            " and ".join(f"{split} frames" for split in dict.fromkeys(run.chosen_on for run in runs) if split),
        ),
        ("resolution", f"{width}x{height}"),
        ("runs", f"{len(runs)} in {len(groups)} group{'s' if len(groups) > 1 else ''}"),
        ("hardware", ", ".join(dict.fromkeys(run.hardware for run in runs if run.hardware))),
    ]
