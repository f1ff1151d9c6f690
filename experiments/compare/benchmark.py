"""Wall time of `python -m talksplat.compare` over many runs: `python experiments/compare/benchmark.py [RUN] [--runs 200]`.

The runs are copies of one finished run (trained on the embedded sample if none is given), as 40 settings of 5 seeds, with
as many held-out frames as a video of three and a half minutes has, and with values that differ.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import yaml

ROOT = Path(__file__).resolve().parents[2]
SEEDS = 5


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", nargs="?", type=Path, help="a finished run folder")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--frames", type=int, default=480)
    parser.add_argument("--repeat", type=int, default=3)
    arguments, settings = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        run = arguments.run or train_one(folder / "one")
        for number in range(arguments.runs):
            copy_run(run, folder / "runs" / f"{number:03d}", number, arguments.frames)
        times = [compare(folder, settings) for _ in range(arguments.repeat)]
        for path in sorted((folder / "out").iterdir()):
            print(f"{path.stat().st_size:>9} bytes  {path.name}")
    print(
        f"{arguments.runs} runs of {arguments.frames} frames: {', '.join(f'{wall:.2f} s ({cpu:.2f} s of a core)' for wall, cpu in times)}"
    )


def train_one(run: Path) -> Path:
    """A short run on the embedded sample."""
    command = [sys.executable, "train.py", "stage=smoke", "tracker=none", f"hydra.run.dir={run}"]
    subprocess.run(command, cwd=ROOT, check=True)
    return run


def copy_run(run: Path, copy: Path, number: int, frames: int) -> None:
    """Another seed or setting of a run, with other values in each frame."""
    rng = np.random.default_rng(number)
    copy.mkdir(parents=True)
    config = yaml.safe_load((run / "config.yaml").read_text())
    seed, setting = number % SEEDS, number // SEEDS
    config["seed"] = seed
    config["evaluation"]["train_frames"] = 20 + setting
    (copy / "config.yaml").write_text(yaml.safe_dump(config))
    info = json.loads((run / "run_info.json").read_text()) | {"seed": seed}
    (copy / "run_info.json").write_text(json.dumps(info, indent=2))
    metrics = json.loads((run / "metrics.json").read_text())
    originals = metrics["frames"]
    metrics["frames"] = [varied(originals[i % len(originals)], i, setting, rng) for i in range(frames)]
    for name in metrics["mean"]:
        values = [frame[name] for frame in metrics["frames"] if frame.get(name) is not None]
        metrics["mean"][name] = float(np.mean(values)) if values else metrics["mean"][name]
    (copy / "metrics.json").write_text(json.dumps(metrics, indent=2))
    if (run / "metrics.csv").is_file():
        shutil.copy(run / "metrics.csv", copy)


def varied(frame: dict, number: int, setting: int, rng: np.random.Generator) -> dict:
    """A frame's values, better by a per mille for each setting, with noise."""
    factor = 1 + 0.001 * setting + 0.01 * rng.standard_normal()
    return {
        name: number if name == "frame_id" else (None if value is None else value * factor)
        for name, value in frame.items()
    }


def compare(folder: Path, settings: list[str]) -> tuple[float, float]:
    """Seconds of the command, Python's start included: of the clock, and of a processor."""
    command = [
        sys.executable,
        "-m",
        "talksplat.compare",
        f"runs={folder}/runs",
        f"out={folder}/out",
        "overwrite=true",
        *settings,
    ]
    began, used = time.perf_counter(), processor_seconds()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began, processor_seconds() - used


def processor_seconds() -> float:
    """Of all commands so far that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
