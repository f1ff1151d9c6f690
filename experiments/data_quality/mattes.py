"""Masks of preprocessed clips against reference mattes of the person.

    python experiments/data_quality/mattes.py data/clip.work=mattes/clip [WORK=MATTES ...] [--out FOLDER]

WORK is the folder of kept steps that preprocess leaves beside a subject, MATTES holds `{frame number of the video}.png`. Prints
intersection over union of all that is not background; FOLDER gets a picture for each clip: head blue, neck green, torso red,
outline of the matte yellow.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np

COLORS_BGR = {1: (255, 80, 80), 2: (80, 255, 80), 3: (80, 80, 255)}
TILE, IN_PICTURE = 256, 5


def matte_of(path: Path, crop: list[int], size: int) -> np.ndarray:
    """The person of a matte in the square that became the subject's frames, bool."""
    x, y, side = crop
    part = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)[y : y + side, x : x + side]
    return cv2.resize(part, (size, size), interpolation=cv2.INTER_LINEAR) > 127


def overlay(image: np.ndarray, labels: np.ndarray, person: np.ndarray) -> np.ndarray:
    """A frame under its masks and the matte's outline, BGR."""
    shown = image.copy()
    for label, color in COLORS_BGR.items():
        shown[labels == label] = 0.55 * shown[labels == label] + 0.45 * np.array(color)
    outlines, _ = cv2.findContours(person.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(shown, outlines, -1, (0, 255, 255), 1)
    return cv2.resize(shown, (TILE, TILE), interpolation=cv2.INTER_AREA)


def compare(work: Path, mattes: Path) -> tuple[list[float], list[np.ndarray]]:
    """IoU of each frame that has both, and its picture."""
    made = json.loads((work / "frames" / "step.json").read_text())["summary"]
    scores, pictures = [], []
    for path in sorted(mattes.glob("*.png"), key=lambda path: int(path.stem)):
        labels = cv2.imread(str(work / "labels" / path.name), cv2.IMREAD_UNCHANGED)
        if labels is None:
            continue
        person, found = matte_of(path, made["crop"], made["resolution"]), labels > 0
        scores.append(float((found & person).sum() / (found | person).sum()))
        pictures.append(overlay(cv2.imread(str(work / "frames" / path.name)), labels, person))
    return scores, pictures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="+", help="WORK=MATTES")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    means = []
    for pair in options.pairs:
        work, mattes = map(Path, pair.split("=", 1))
        scores, pictures = compare(work, mattes)
        if not scores:
            raise SystemExit(f"{work / 'labels'} has no frame of {mattes}")
        means.append(float(np.mean(scores)))
        print(f"{mattes.name:28} {len(scores):3} frames  mean {means[-1]:.3f}  lowest {min(scores):.3f}")
        if options.out:
            options.out.mkdir(parents=True, exist_ok=True)
            chosen = np.linspace(0, len(pictures) - 1, min(IN_PICTURE, len(pictures))).astype(int)
            cv2.imwrite(str(options.out / f"{mattes.name}.jpg"), np.concatenate([pictures[k] for k in chosen], axis=1))
    print(f"all: mean {np.mean(means):.3f}, lowest clip {min(means):.3f}")


if __name__ == "__main__":
    main()
