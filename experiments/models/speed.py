"""How fast finished avatars are drawn: model and rasteriser, synchronised, alone on the machine.

    python experiments/models/speed.py RUN [RUN ...] [--batches 1 16] [--frames 400] [--out speed.csv]

Every figure is the median of five rounds, in which the runs take turns, so that a machine that changes its clock does so
for all of them.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path
from statistics import median

import torch

from talksplat.checkpoint import build_model, checkpoint_config, read_checkpoint
from talksplat.data.datamodule import PortraitDataModule
from talksplat.data.open import open_subject
from talksplat.rasterizer.auto import AutoRasterizer
from talksplat.rendering.renderer import AvatarRenderer

ROUNDS = 5


def open_run(run: Path, device: torch.device) -> tuple[AvatarRenderer, PortraitDataModule]:
    """Renderer and data of a run folder."""
    checkpoint = read_checkpoint(run)
    entry = checkpoint["talksplat"]
    data = open_subject(checkpoint_config(checkpoint))
    model = build_model(checkpoint, device)
    model.freeze_for_inference()
    size = (data.subject.width, data.subject.height)
    return AvatarRenderer(model, AutoRasterizer(), entry["mode"], entry["active_sh_degree"], *size), data


def frames_per_second(renderer: AvatarRenderer, data: PortraitDataModule, batch: int, frames: int) -> float:
    """Frames per second of `frames` frames, `batch` at a time; the first batch is left out."""
    device = next(renderer.model.parameters()).device
    positions = torch.arange(batch + frames) % len(data.subject.frame_ids)
    renderer.clock = type(renderer.clock)()
    for chunk in positions.split(batch):
        some = data.store.batch(chunk, device)
        renderer.render(some.conditions, some.background_u8)
    return renderer.clock.fps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 16])
    parser.add_argument("--frames", type=int, default=400)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    opened = {run.name: open_run(run, device) for run in options.runs}
    rows = []
    for batch in options.batches:
        rounds = [
            {name: frames_per_second(*parts, batch, options.frames) for name, parts in opened.items()}
            for _ in range(ROUNDS)
        ]
        rows += [[name, batch, round(median(one[name] for one in rounds), 1)] for name in opened]
    device_name = torch.cuda.get_device_name() if device.type == "cuda" else "cpu"
    for target in [sys.stdout] + ([options.out.open("w")] if options.out else []):
        csv.writer(target).writerows([["run", "batch", f"frames/s ({device_name})"], *rows])


if __name__ == "__main__":
    main()
