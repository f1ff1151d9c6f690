"""What an avatar loses when brows and lids are not those of the moment: in new speech they come from elsewhere in the clip.

    python experiments/lips/foreign_units.py RUN [RUN ...] [--out FILE.csv]

Held-out frames are rendered with their own action units and blinks, with those of the moment half a clip away, and with those
of a face at rest (the median of the training frames); poses and sound stay their own. Composite and mouth PSNR, LMD and
lip-gap correlation each time, also in RUN/foreign_units.json.
"""

from __future__ import annotations

import argparse
import csv
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from talksplat.checkpoint import build_model, checkpoint_config, read_checkpoint
from talksplat.data.datamodule import PortraitDataModule
from talksplat.data.open import open_subject
from talksplat.files import write_json
from talksplat.metrics.open import nodes_of_run, open_suite
from talksplat.rasterizer.auto import AutoRasterizer
from talksplat.rendering.renderer import AvatarRenderer
from talksplat.subject_format.subject import Subject

METRICS = ("psnr_composite", "psnr_mouth", "lmd", "lip_gap_correlation")
BATCH = 8


def open_run(run: Path, device: torch.device) -> tuple[AvatarRenderer, PortraitDataModule]:
    """Renderer and data of a run folder."""
    checkpoint = read_checkpoint(run)
    entry, config = checkpoint["talksplat"], checkpoint_config(checkpoint)
    data = open_subject(config)
    model = build_model(checkpoint, device)
    model.freeze_for_inference()
    settings = {key: config.rasterizer[key] for key in ("near_plane", "eps2d") if key in config.rasterizer}
    size = (data.subject.width, data.subject.height)
    mode, degree = entry["mode"], entry["active_sh_degree"]
    return AvatarRenderer(model, AutoRasterizer(**settings), mode, degree, *size), data


def faces(subject: Subject) -> dict[str, tuple[Float[np.ndarray, " frame"], Float[np.ndarray, "frame unit"]]]:
    """Blinks and action units of all frames: their own, half a clip away, at rest."""
    count, eye, units = len(subject.frame_ids), subject.eye, subject.action_units
    away = (np.arange(count) + count // 2) % count
    still = (np.full_like(eye, np.median(eye[subject.train])), np.tile(np.median(units[subject.train], 0), (count, 1)))
    return {"own": (eye, units), "half a clip away": (eye[away], units[away]), "at rest": still}


def measure(
    renderer: AvatarRenderer, data: PortraitDataModule, eye: np.ndarray, units: np.ndarray, device: torch.device
) -> dict[str, float | None]:
    """Means over the held-out frames, with the blinks and action units given for all frames."""
    suite = open_suite(nodes_of_run({"evaluation": {"lpips_net": None}}), None, device)
    for positions in torch.as_tensor(data.subject.test).split(BATCH):
        batch = data.store.batch(positions, device)
        face = {
            "eye": torch.as_tensor(eye[positions.numpy()]).to(batch.conditions.eye),
            "action_units": torch.as_tensor(units[positions.numpy()]).to(batch.conditions.eye),
        }
        image, _ = renderer.render(replace(batch.conditions, **face), batch.background_u8)
        suite.update(image, batch)
    mean = suite.compute()["mean"]
    return {name: mean[name] for name in METRICS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rows = []
    for run in options.runs:
        renderer, data = open_run(run, device)
        results = {name: measure(renderer, data, *face, device) for name, face in faces(data.subject).items()}
        write_json(run / "foreign_units.json", results)
        clip = Path(data.subject.root).name
        rows += [{"run": run.name, "clip": clip, "face": name, **values} for name, values in results.items()]
    for target in [sys.stdout] + ([options.out.open("w", newline="")] if options.out else []):
        writer = csv.DictWriter(target, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
