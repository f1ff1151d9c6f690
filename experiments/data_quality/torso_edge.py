"""Torso over plate against the frames of the video, where no head is: `python experiments/data_quality/torso_edge.py WORK [...]`.

WORK is the folder of kept steps that preprocess leaves beside a subject. Prints, without and with `torso_edge`: PSNR outside the
head (alpha 0), the share of that squared error within 3 pixels of neck and torso, and PSNR of what the head's layer is trained
towards beside the torso (alpha above 0, within 10 pixels at 512). Frames lie between those that the plate was made from.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

from talksplat.preprocess.segmentation.matte import head_alpha
from talksplat.preprocess.steps import PLATE_FRAMES, read_png, spread
from talksplat.preprocess.torso_plate import torso_edge, torso_image
from talksplat.subject_format.labels import Label

FRAMES, CLOSE, BESIDE = 24, 3, 10


def frame_ids(labels: Path) -> list[int]:
    """Frames spread over the clip."""
    ids = sorted(int(path.stem) for path in labels.glob("*.png"))
    others = np.setdiff1d(np.arange(len(ids)), spread(len(ids), PLATE_FRAMES))
    return [ids[others[k]] for k in spread(len(others), FRAMES)]


def target(image: np.ndarray, behind: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """`FrameBatch.target`."""
    behind = (1 - alpha[..., None]) * behind
    return np.clip(image, behind, behind + 255 * alpha[..., None])


def errors(work: Path, with_edge: bool) -> dict[str, tuple[float, int]]:
    """Sum of squared errors and number of pixels, by place."""
    plate, seen = read_png(work / "plate" / "plate.png"), read_png(work / "plate" / "hole.png") == 0
    sums = {name: np.zeros(2) for name in ("outside", "close", "beside")}
    for number in frame_ids(work / "labels"):
        image, labels = (read_png(work / folder / f"{number}.png") for folder in ("frames", "labels"))
        alpha = head_alpha(image, labels, plate, seen)
        torso = torso_image(image, labels, edge=torso_edge(image, labels, plate) if with_edge else None)
        behind = np.where(torso[..., 3:] > 0, torso[..., :3], plate).astype(np.float32)
        below = (labels == Label.NECK) | (labels == Label.TORSO)
        distance = cv2.distanceTransform((~below).astype(np.uint8), cv2.DIST_L2, 5)
        beside = (alpha > 0) & ~below & (distance <= BESIDE * max(labels.shape) / 512)
        places = {"outside": alpha == 0, "close": (alpha == 0) & ~below & (distance <= CLOSE), "beside": beside}
        for name, place in places.items():
            shown = target(image, behind, alpha / 255) if name == "beside" else behind
            sums[name] += ((shown - image)[place] ** 2).mean(-1).sum(), place.sum()
    return sums


def main() -> None:
    for work in map(Path, sys.argv[1:]):
        for with_edge in (False, True):
            sums = errors(work, with_edge)
            psnr = {name: 10 * np.log10(255**2 * count / error) for name, (error, count) in sums.items()}
            share, pixels = sums["close"] / sums["outside"]
            print(
                f"{work.name:16} {'with' if with_edge else 'without':8} outside {psnr['outside']:.2f} dB, "
                f"{100 * share:.1f} % of it in {100 * pixels:.2f} % of the pixels, beside the torso {psnr['beside']:.2f} dB"
            )


if __name__ == "__main__":
    main()
