"""Times the rasterisers on one scene, interleaved in one run: milliseconds for forward, and forward + backward.

CPU: numba against the torch reference. CUDA: gsplat, with numba and torch on the CPU for comparison if asked for.
Every figure is projection + rasterisation + background, from 3D Gaussians to the gradients of their five tensors.
"""

from __future__ import annotations

import argparse
import csv
import logging
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from talksplat.entry_points import exits_cleanly
from talksplat.errors import UserError
from talksplat.rasterizer import GsplatRasterizer, NumbaRasterizer, Rasterizer, TorchRasterizer
from talksplat.rasterizer.synthetic import shell_scene
from talksplat.types import Gaussians

logger = logging.getLogger(__name__)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gaussians", type=int, default=35000)
    parser.add_argument("--size", type=int, default=256, help="width and height of the image in pixels")
    parser.add_argument("--channels", type=int, default=3)
    parser.add_argument("--frames", type=int, default=1, help="frames in a batch")
    parser.add_argument("--repeats", type=int, default=11, help="timed calls of each rasteriser and pass")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=None, help="CPU threads for torch and numba (default: all)")
    parser.add_argument("--output", type=Path, default=Path("results.csv"), help="table to append to")
    return parser.parse_args()


def timed(function: Callable[[], object], device: str) -> float:
    """Seconds of one call, waiting for the GPU."""
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    function()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def passes(rasterizer: Rasterizer, arguments: argparse.Namespace, device: str) -> dict[str, Callable[[], object]]:
    """The two timed calls, on fresh leaves so that gradients do not accumulate."""
    size, channels, frames = arguments.size, arguments.channels, arguments.frames
    gaussians, viewmats, Ks = (
        part.to(device) for part in shell_scene(arguments.gaussians, size, size, channels, frames)
    )
    backgrounds = torch.rand(frames, size, size, channels, device=device)
    v_image = torch.randn(frames, size, size, channels, device=device)
    leaves = Gaussians(*(tensor.clone().requires_grad_() for tensor in vars(gaussians).values()))

    def forward() -> None:
        with torch.no_grad():
            rasterizer(gaussians, viewmats, Ks, size, size, backgrounds)

    def forward_backward() -> None:
        image = rasterizer(leaves, viewmats, Ks, size, size, backgrounds).image
        torch.autograd.grad(image, list(vars(leaves).values()), v_image)

    return {"forward": forward, "forward+backward": forward_backward}


def measure(arguments: argparse.Namespace) -> list[dict]:
    """One row for each rasteriser and pass; the repeats of all rasterisers take turns."""
    rasterizers: dict[str, tuple[Rasterizer, str]] = {
        "numba": (NumbaRasterizer(), "cpu"),
        "torch": (TorchRasterizer(), "cpu"),
    }
    if arguments.device == "cuda":
        rasterizers["gsplat"] = (GsplatRasterizer(), "cuda")
    calls = {
        (name, step): (call, device)
        for name, (rasterizer, device) in rasterizers.items()
        for step, call in passes(rasterizer, arguments, device).items()
    }
    times: dict[tuple[str, str], list[float]] = {key: [] for key in calls}
    for key, (call, device) in calls.items():
        logger.info("warming up %s, %s", *key)
        timed(call, device)
    for _ in range(arguments.repeats):
        for key, (call, device) in calls.items():
            times[key].append(1000 * timed(call, device))
    torch_times = {step: statistics.median(times["torch", step]) for step in ("forward", "forward+backward")}
    return [
        {
            "rasterizer": name,
            "pass": step,
            "median_ms": round(statistics.median(values), 3),
            "min_ms": round(min(values), 3),
            "times_faster_than_torch": round(torch_times[step] / statistics.median(values), 1),
        }
        for (name, step), values in times.items()
    ]


def machine(arguments: argparse.Namespace) -> dict:
    """What the figures depend on."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":")[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        processor = names[0] if names else processor
    return {
        "gaussians": arguments.gaussians,
        "size": arguments.size,
        "channels": arguments.channels,
        "frames": arguments.frames,
        "repeats": arguments.repeats,
        "cpu": processor,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if arguments.device == "cuda" else "",
        "torch": torch.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }


def save(rows: list[dict], path: Path) -> None:
    """Append to the table, through a temporary file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    earlier = path.read_text() if path.exists() else ""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w", newline="") as file:
        file.write(earlier)
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        if not earlier:
            writer.writeheader()
        writer.writerows(rows)
    os.replace(temporary, path)


@exits_cleanly
def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    arguments = parse_arguments()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda needs a CUDA GPU; leave the option out to compare the CPU rasterisers")
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    rows = measure(arguments)
    logger.info("%-8s %-18s %12s %12s %18s", "", "pass", "median ms", "min ms", "x torch")
    for row in rows:
        logger.info("%-8s %-18s %12.2f %12.2f %18.1f", *row.values())
    save([{**row, **machine(arguments)} for row in rows], arguments.output)
    logger.info("written to %s", arguments.output)


if __name__ == "__main__":
    main()
