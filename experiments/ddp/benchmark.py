"""Images per second of one training run on 1, 2, ... devices of this machine.

    python experiments/ddp/benchmark.py SUBJECT --devices 1 2 [--steps 300] [--gaussians 30000] [--out ddp.json] [KEY=VALUE ...]

Trains the fine stage of a preset as `train.py` does, from as many Gaussians as asked, with the same batch on each device.
Speed is counted between rows of the metric history, each of which waits for the device; the rows up to `--warmup` steps
are left out, and the median of the others is taken. With `--rounds` above one the numbers of devices take turns, so that a
machine that changes its clock does so for all of them. Further arguments are settings of `train.py`.
"""

from __future__ import annotations

import argparse
import csv
import os
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault(
    "OMP_WAIT_POLICY", "passive"
)  # as talksplat sets it where it is imported before torch; see README.md
import torch  # noqa: E402

from talksplat.config import compose
from talksplat.entry_points import exits_cleanly
from talksplat.errors import UserError
from talksplat.files import write_json
from talksplat.provenance import describe_machine
from talksplat.training.console import log_to_console, quiet_libraries
from talksplat.training.run import TrainingRun

STAGE = "fine"
ROW = f"{STAGE}/images_per_second"


def measure(options: argparse.Namespace, devices: int, run_dir: Path) -> dict[str, Any]:
    """Train once; images per second of each stretch after the warm-up, and their median."""
    config = compose("train", settings(options, devices))
    began = time.perf_counter()
    run = TrainingRun(config, run_dir)
    with run.opened():
        run.train()
    with open(run_dir / "metrics.csv", newline="") as file:
        rows = [(int(row["step"]), float(row["value"])) for row in csv.DictReader(file) if row["name"] == ROW]
    speeds = [speed for step, speed in rows if step >= options.warmup + options.every]
    if not speeds:
        raise UserError(f"no speed was noted after {options.warmup} steps: give more --steps, or a smaller --every")
    batch = devices * run.plan.stages[STAGE].batch_size
    speed = median(speeds)
    return {
        "devices": devices,
        "batch": batch,
        "images_per_second": speed,
        "step_ms": 1000 * batch / speed,
        "slowest": min(speeds),
        "fastest": max(speeds),
        "gaussians": run.model.num_gaussians,
        "seconds_in_all": time.perf_counter() - began,
    }


def settings(options: argparse.Namespace, devices: int) -> list[str]:
    """Settings of `train.py` for one measurement."""
    return [
        "dataset=portrait",
        f"dataset.root={options.subject}",
        f"stage={options.stage}",
        f"stage.order=[{STAGE}]",
        f"stage.stages.{STAGE}.steps={options.warmup + options.steps}",
        f"model.gaussians.num_points={options.gaussians}",
        f"trainer.accelerator={'gpu' if torch.cuda.is_available() else 'cpu'}",
        f"trainer.devices={devices}",
        f"trainer.log_every={options.every}",
        "trainer.checkpoint_every=1000000",
        "trainer.preview_every=null",
        "tracker=csv",
        *([] if options.batch is None else [f"stage.stages.{STAGE}.batch_size={options.batch}"]),
        *options.overrides,
    ]


def summarize(rounds: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for each number of devices: the median over rounds, and how many times as fast as the first it is."""
    rows = []
    for devices in dict.fromkeys(row["devices"] for row in rounds):
        own = [row for row in rounds if row["devices"] == devices]
        speed = median(row["images_per_second"] for row in own)
        rows.append({**own[0], "images_per_second": speed, "step_ms": 1000 * own[0]["batch"] / speed})
    for row in rows:
        row["times"] = row["images_per_second"] / rows[0]["images_per_second"]
    return rows


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("subject", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--devices", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--steps", type=int, default=300, help="measured, after the warm-up")
    parser.add_argument("--warmup", type=int, default=100)
    parser.add_argument("--every", type=int, default=50, help="steps of a stretch")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--stage", default="default")
    parser.add_argument("--batch", type=int, help="on each device; default: the preset's")
    parser.add_argument("--gaussians", type=int, default=30_000)
    parser.add_argument("--out", type=Path)
    return parser.parse_intermixed_args()


@exits_cleanly
def main() -> None:
    options = arguments()
    log_to_console()
    quiet_libraries()
    rounds = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.rounds):
            for devices in options.devices:
                rounds.append(measure(options, devices, Path(folder) / f"{number}_{devices}"))
    rows = summarize(rounds)
    print(f"\n{'devices':>7} {'batch':>6} {'images/s':>9} {'ms a step':>10} {'times':>6}")
    for row in rows:
        print(
            f"{row['devices']:>7} {row['batch']:>6} {row['images_per_second']:>9.1f} {row['step_ms']:>10.2f} "
            f"{row['times']:>6.2f}"
        )
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        machine = describe_machine(max(options.devices))
        write_json(options.out, {"machine": machine, "settings": settings(options, 0), "rows": rows, "rounds": rounds})


if __name__ == "__main__":
    main()
