"""What distinguishes runs: settings that differ, and averages over seeds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from statistics import fmean, stdev

from talksplat.compare.run_result import RunResult, flatten

# Where a run lies and on what it ran is not what it is.
INCIDENTAL = ("run_dir", "paths", "tracker", "resume", "dry_run", "trainer")
SHOWN = ("psnr", "ssim", "lpips", "psnr_head", "psnr_mouth", "lmd", "mouth_correlation", "lip_gap_correlation")
MAX_SETTINGS = 40


def differing_settings(runs: Sequence[RunResult]) -> dict[str, list[str]]:
    """Settings that are not the same in all runs: {full path: value in each run}; "-" where a run has no such key."""
    flat = [_relevant(run) for run in runs]
    keys = sorted(set().union(*flat))
    values = {key: [json.dumps(one[key], default=str) if key in one else "-" for one in flat] for key in keys}
    return {key: texts for key, texts in values.items() if len(set(texts)) > 1}


def seed_averages(runs: Sequence[RunResult]) -> list[tuple[list[RunResult], dict[str, tuple[float, float]]]]:
    """Runs that are alike but for the seed, where there are two or more: mean and standard deviation of each metric.

    A metric that one of them could not measure is left out.
    """
    groups: dict[str, list[RunResult]] = {}
    for run in runs:
        settings = {key: value for key, value in _relevant(run).items() if key != "seed"}
        groups.setdefault(json.dumps(settings, sort_keys=True, default=str), []).append(run)
    results = []
    for group in groups.values():
        if len({run.seed for run in group}) < 2:
            continue
        values = {name: [run.mean(name) for run in group] for name in SHOWN}
        results.append((group, {name: (fmean(v), stdev(v)) for name, v in values.items() if None not in v}))
    return results


def settings_markdown(runs: Sequence[RunResult]) -> str:
    """Section on settings that differ; empty where none do."""
    differing = differing_settings(runs)
    if not differing:
        return ""
    lines = ["## Settings that differ", "", "| setting | " + " | ".join(run.name for run in runs) + " |"]
    lines.append("|" + "---|" * (len(runs) + 1))
    for key, values in list(differing.items())[:MAX_SETTINGS]:
        lines.append(f"| {key} | " + " | ".join(value.replace("|", "\\|") for value in values) + " |")
    if len(differing) > MAX_SETTINGS:
        lines += ["", f"and {len(differing) - MAX_SETTINGS} more: compare the runs' config.yaml"]
    return "\n".join(lines) + "\n"


def seeds_markdown(runs: Sequence[RunResult]) -> str:
    """Section on averages over seeds; empty where no runs differ in their seed only."""
    averages = seed_averages(runs)
    if not averages:
        return ""
    lines = ["## Over seeds (mean ± standard deviation)", ""]
    for group, values in averages:
        seeds = ", ".join(str(run.seed) for run in group)
        figures = ", ".join(f"{name} {mean:.4f} ± {deviation:.4f}" for name, (mean, deviation) in values.items())
        lines.append(f"- {group[0].model}, stage {group[0].stage}, seeds {seeds} ({group[0].name}, ...): {figures}")
    return "\n".join(lines) + "\n"


def _relevant(run: RunResult) -> dict[str, object]:
    return {key: value for key, value in flatten(run.config).items() if key.split(".")[0] not in INCIDENTAL}
