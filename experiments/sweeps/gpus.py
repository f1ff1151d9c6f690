"""What a sweep gains from more GPUs: python experiments/sweeps/gpus.py OUT DEVICES DEVICES ... -- ARGUMENT ...

Runs the same sweep, whose jobs ARGUMENT ... name, once on each set of devices (e.g. 0 and 1,2), all sweeps at the same time, and
compares their wall times, from the command's start to its end.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TRAIN = Path(__file__).resolve().parents[2] / "train.py"


def wall_time(out: Path, devices: str, arguments: list[str]) -> float:
    """Seconds of a sweep on some GPUs; what it says goes into a file beside its folder."""
    folder = out / f"gpus_{devices.replace(',', '_')}"
    command = [sys.executable, str(TRAIN), "-m", *arguments, f"hydra.sweep.dir={folder}"]
    began = time.perf_counter()
    with open(folder.with_suffix(".log"), "w") as log:
        environment = os.environ | {"CUDA_VISIBLE_DEVICES": devices}
        subprocess.run(command, check=True, env=environment, stdout=log, stderr=subprocess.STDOUT)
    return time.perf_counter() - began


def main() -> None:
    """The command."""
    split = sys.argv.index("--")
    out, sets, arguments = Path(sys.argv[1]), sys.argv[2:split], sys.argv[split + 1 :]
    out.mkdir(parents=True)
    with ThreadPoolExecutor(len(sets)) as pool:
        seconds = list(pool.map(lambda devices: wall_time(out, devices, arguments), sets))
    for devices, one in zip(sets, seconds):
        print(json.dumps({"devices": devices, "wall_s": round(one, 1), "times_as_fast": round(seconds[0] / one, 3)}))


if __name__ == "__main__":
    main()
