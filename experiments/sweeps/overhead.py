"""What the sweep machinery itself costs: python experiments/sweeps/overhead.py SWEEP_DIR [ARGUMENT ...]

Starts `train.py -m ARGUMENT ... hydra.sweep.dir=SWEEP_DIR` and compares its wall time with the sum of its jobs' processes, from
their start to their end. Everything beside that is overhead: Python's start, composing and checking all jobs, the table, the files.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from pathlib import Path

TRAIN = Path(__file__).resolve().parents[2] / "train.py"


def main() -> None:
    """The command."""
    sweep, arguments = sys.argv[1], sys.argv[2:]
    began = time.perf_counter()
    subprocess.run([sys.executable, str(TRAIN), "-m", *arguments, f"hydra.sweep.dir={sweep}"], check=True)
    wall = time.perf_counter() - began
    with open(Path(sweep) / "status.csv", newline="") as file:
        jobs = [float(row["seconds"]) for row in csv.DictReader(file)]
    result = {"jobs": len(jobs), "wall_s": wall, "jobs_s": sum(jobs), "overhead": wall / sum(jobs) - 1}
    print(json.dumps({key: round(value, 4) for key, value in result.items()}))


if __name__ == "__main__":
    main()
