"""What a sweep gains from a second GPU: python experiments/sweeps/gpus.py OUT [ARGUMENT ...]

Runs the same sweep, whose jobs ARGUMENT ... name, with one visible GPU and with two, and compares the wall times.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

TRAIN = Path(__file__).resolve().parents[2] / "train.py"


def wall_time(out: Path, devices: str, arguments: list[str]) -> float:
    """Seconds of a sweep on some GPUs, from the command's start to its end."""
    began = time.perf_counter()
    command = [sys.executable, str(TRAIN), "-m", *arguments, f"hydra.sweep.dir={out / devices.replace(',', '')}"]
    subprocess.run(command, check=True, env=os.environ | {"CUDA_VISIBLE_DEVICES": devices})
    return time.perf_counter() - began


def main() -> None:
    """The command."""
    out, arguments = Path(sys.argv[1]), sys.argv[2:]
    two, one = wall_time(out, "0,1", arguments), wall_time(out, "0", arguments)
    print(json.dumps({"one_gpu_s": round(one, 1), "two_gpus_s": round(two, 1), "ratio": round(one / two, 3)}))


if __name__ == "__main__":
    main()
