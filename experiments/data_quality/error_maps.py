"""Where the error of a trained run sits: `python experiments/data_quality/error_maps.py RUN [--out FOLDER]`.

Renders the held-out frames (and as many training frames) of RUN/last.ckpt, compares them with the composite target
(--original: with the frames of the video), and writes error_maps.png (worst frames, mean error) and error_regions.csv.
Regions come from the run's own subject folder, or from another one of the same frames (--regions), so that runs on
different masks are measured in the same places.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import cv2
import numpy as np
import torch

from talksplat.checkpoint import build_model, checkpoint_config, read_checkpoint
from talksplat.data.open import open_subject
from talksplat.metrics.error_regions import REGIONS, error_regions, region_table
from talksplat.metrics.picture import save_picture
from talksplat.metrics.regions import mouth_mask
from talksplat.rasterizer.auto import AutoRasterizer
from talksplat.rendering.renderer import AvatarRenderer
from talksplat.subject_format.images import read_image
from talksplat.subject_format.labels import Label, label_mask

BATCH = 8


def rendered(renderer: AvatarRenderer, data, positions: np.ndarray, device: torch.device, original: bool):
    """Renderings and what they are compared with [F, H, W, 3] in [0, 1]."""
    images, targets = [], []
    for start in range(0, len(positions), BATCH):
        batch = data.store.batch(torch.as_tensor(positions[start : start + BATCH]), device)
        images.append(renderer.render(batch.conditions, batch.background_u8)[0].float().cpu())
        targets.append((batch.original if original else batch.target).float().cpu())
    return torch.cat(images).numpy(), torch.cat(targets).numpy()


def regions_of(subject, folder: Path, position: int) -> dict[str, np.ndarray]:
    """Masks of a frame; `folder` holds its semantic map."""
    path = folder / "parsing" / f"{subject.frame_ids[position]}.png"
    parsing = read_image(path, subject.width, subject.height, 3)[..., ::-1]
    labels = np.zeros(parsing.shape[:2], np.uint8)
    for label in Label:
        labels[label_mask(parsing, label)] = label
    boxes = torch.as_tensor(subject.lip_boxes[position : position + 1])
    mouth = mouth_mask(boxes, subject.height, subject.width)[0].numpy()
    return error_regions(labels, subject.landmarks[position], mouth)


def picture(targets: np.ndarray, images: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Three frames (best, middle, worst) as target, rendering, error; and the mean error of all."""
    order = np.argsort(error.mean((1, 2)))
    rows = []
    for index in (order[0], order[len(order) // 2], order[-1]):
        rows.append(np.concatenate([targets[index], images[index], heat(np.sqrt(error[index]))], axis=1))
    grid = np.concatenate(rows)
    mean = heat(np.sqrt(error.mean(0)))
    side = np.zeros((len(grid), mean.shape[1], 3))
    side[: len(mean)] = mean
    return (np.concatenate([grid, side], axis=1) * 255).clip(0, 255).round().astype(np.uint8)


def heat(error: np.ndarray) -> np.ndarray:
    """Root of the squared error as colours; white at 0.25."""
    scaled = (error / 0.25 * 255).clip(0, 255).astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(scaled, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB) / 255.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--original", action="store_true")
    parser.add_argument("--regions", type=Path)
    arguments = parser.parse_args()
    out = arguments.out or arguments.run
    out.mkdir(parents=True, exist_ok=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    checkpoint = read_checkpoint(arguments.run / "last.ckpt")
    data = open_subject(checkpoint_config(checkpoint))
    subject, entry = data.subject, checkpoint["talksplat"]
    model = build_model(checkpoint, device)
    model.freeze_for_inference()
    size = (subject.width, subject.height)
    renderer = AvatarRenderer(model, AutoRasterizer(), entry["mode"], entry["active_sh_degree"], *size)
    rows = []
    some = subject.train[np.linspace(0, len(subject.train) - 1, len(subject.test)).astype(int)]
    for split, positions in (("held-out", subject.test), ("training", some)):
        images, targets = rendered(renderer, data, positions, device, arguments.original)
        error = ((images - targets) ** 2).mean(-1)
        table = region_table(error, [regions_of(subject, arguments.regions or subject.root, int(p)) for p in positions])
        psnr = float((-10 * np.log10(error.mean((1, 2)))).mean())
        print(f"{split}: {psnr:.2f} dB", {n: f"{100 * v['error']:.0f}% {v['psnr']:.1f}dB" for n, v in table.items()})
        rows += [{"split": split, "region": name, **table[name]} for name in REGIONS]
        save_picture(out / f"error_maps_{split}.png", picture(targets, images, error))
    with (out / "error_regions.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows({k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()} for row in rows)


if __name__ == "__main__":
    main()
