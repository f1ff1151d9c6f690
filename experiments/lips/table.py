"""Held-out results of many runs, by clip and variant, over seeds.

    python experiments/lips/table.py RUN [RUN ...] --out FOLDER [--seeds 0 1 2]

A RUN is a run folder, a folder that holds some, or a glob. FOLDER/results.csv has a line for each run; FOLDER/table.md a table
for each clip, mean ± standard deviation over seeds, with seeds that are missing.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from talksplat.compare.load.discover import find_runs
from talksplat.compare.load.run import RunResult, read_run
from talksplat.errors import UserError


@dataclass(frozen=True)
class Column:
    """A measure: where it stands in `metrics.json`, what it is called, its decimals."""

    title: str
    name: str
    decimals: int
    training: bool = False  # of the training frames that were measured

    def value(self, run: RunResult) -> float | None:
        """None where it was not measured."""
        if self.training:
            return (run.metrics.get("train") or {}).get("mean", {}).get(self.name)
        return run.mean(self.name)


COLUMNS = (
    Column("composite PSNR", "psnr_composite", 2),
    Column("PSNR", "psnr", 2),
    Column("mouth PSNR", "psnr_mouth", 2),
    Column("LMD (px)", "lmd", 2),
    Column("lip-gap correlation", "lip_gap_correlation", 2),
    Column("training frames: mouth PSNR", "psnr_mouth", 2, training=True),
    Column("training frames: lip-gap correlation", "lip_gap_correlation", 2, training=True),
)


def variant_of(run: RunResult) -> str:
    """What distinguishes a run beside clip and seed: model, audio, lip token, what is left out, seconds of training."""
    if run.model_choice == "static":
        parts = ["static"]
    else:
        model = run.config["model"]
        tokens, lips = model["tokens"], model["tokens"].get("lips") or {}
        audio = run.config.get("audio") or {}
        parts = [str(audio.get("name", "?"))]
        parts += [] if audio.get("ahead") is None else [f"{audio['ahead']} windows of {audio['window']} rows ahead"]
        parts += [] if run.model_choice == "gaussiantalker" else [run.model_choice]
        parts += ["prior"] if lips.get("prior") else []
        parts += ["measured lips"] if lips.get("measured") else []
        parts += [f"noise {lips['noise']:g}"] if lips.get("noise") else []
        parts += [f"unit_dropout {model['unit_dropout']:g}"] if model.get("unit_dropout") else []
        left_out = [name for name in ("audio", "camera") if not tokens.get(name)]
        left_out += [name for name in ("motion", "expression") if not model.get(name)]
        parts += [f"no {', '.join(left_out)}"] if left_out else []
    seconds = (run.config.get("dataset") or {}).get("train_seconds")
    return " + ".join(parts) + ("" if seconds is None else f", {seconds:g} s")


def read_all(specs: Sequence[str]) -> list[RunResult]:
    """Finished runs; the others are named and left out."""
    folders, left_out = find_runs(specs)
    runs = []
    for folder in folders:
        try:
            runs.append(read_run(folder, folder.name))
        except UserError as error:
            left_out.append(str(error))
    for line in left_out:
        print(f"left out: {line}", file=sys.stderr)
    return runs


def write_results(path: Path, runs: Sequence[RunResult]) -> None:
    """A line for each run."""
    header = ["clip", "variant", "seed", *(column.title for column in COLUMNS)]
    header += ["held-out frames", "Gaussians", "training (s)", "hardware", "run"]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for run in runs:
            values = [column.value(run) for column in COLUMNS]
            rounded = [
                "" if value is None else round(value, column.decimals + 2) for column, value in zip(COLUMNS, values)
            ]
            seconds = round(sum((run.info.get("timings") or {}).values())) or ""
            about = [len(run.frame_ids), run.metrics.get("num_gaussians"), seconds]
            key = [run.metrics["subject"], variant_of(run), run.seed]
            writer.writerow([*key, *rounded, *about, run.hardware, run.name])


def mean_and_deviation(column: Column, runs: Sequence[RunResult]) -> str:
    """Over the seeds; "-" where nothing was measured, no deviation for one run."""
    values = [value for value in (column.value(run) for run in runs) if value is not None]
    if not values:
        return "-"
    text = f"{np.mean(values):.{column.decimals}f}"
    return text if len(values) == 1 else f"{text} ± {np.std(values, ddof=1):.{column.decimals}f}"


def table_of(clip: str, runs: Sequence[RunResult], seeds: Sequence[int]) -> list[str]:
    """Lines of a clip's table."""
    rows: dict[str, list[RunResult]] = {}
    for run in runs:
        rows.setdefault(variant_of(run), []).append(run)
    lines = [f"## {clip}", "", f"| variant | seeds | {' | '.join(column.title for column in COLUMNS)} |"]
    lines.append("|---" * (len(COLUMNS) + 2) + "|")
    for variant, alike in rows.items():
        found = [run.seed for run in alike]
        missing = [str(seed) for seed in seeds if seed not in found]
        told = ", ".join(map(str, sorted(found))) + (f" (missing {', '.join(missing)})" if missing else "")
        if len(set(found)) < len(found):
            print(f"{clip}, {variant}: several runs of a seed ({told})", file=sys.stderr)
        lines.append(f"| {variant} | {told} | {' | '.join(mean_and_deviation(column, alike) for column in COLUMNS)} |")
    return [*lines, ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    runs = sorted(read_all(options.runs), key=lambda run: (run.metrics["subject"], variant_of(run), run.seed))
    write_results(options.out / "results.csv", runs)
    clips = dict.fromkeys(run.metrics["subject"] for run in runs)
    lines = [
        line
        for clip in clips
        for line in table_of(clip, [r for r in runs if r.metrics["subject"] == clip], options.seeds)
    ]
    (options.out / "table.md").write_text("\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
