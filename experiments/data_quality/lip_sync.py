"""Does the estimated offset of sound and picture move with the sound?

    python experiments/data_quality/lip_sync.py OUT.csv CLIP.mp4 [CLIP.mp4 ...]

Each clip's sound is moved by known times; the estimate must move by as much. Sound of the next clip is a control: there the
estimate must not be certain.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np

from talksplat.preprocess import lip_sync
from talksplat.preprocess.assets import face_landmarker_path
from talksplat.preprocess.audio_io import SAMPLE_RATE, read_audio
from talksplat.preprocess.faces import watch
from talksplat.preprocess.video import read_frames

SHIFTS = (-0.2, -0.08, 0.0, 0.08, 0.2)  # s


def moved(samples: np.ndarray, seconds: float) -> np.ndarray:
    """Sound that comes `seconds` later, as long as before."""
    count = round(seconds * SAMPLE_RATE)
    padded = np.pad(samples, (max(count, 0), max(-count, 0)))
    return padded[: len(samples)] if count >= 0 else padded[-len(samples) :]


def main() -> None:
    """See the module's words."""
    out, clips = Path(sys.argv[1]), [Path(argument) for argument in sys.argv[2:]]
    sounds = {clip: read_audio(clip) for clip in clips}
    rows = []
    for index, clip in enumerate(clips):
        landmarks = watch(read_frames(clip), face_landmarker_path(None)).landmarks
        for shift in SHIFTS:
            rows.append(row(clip.stem, f"{1000 * shift:.0f}", lip_sync.estimate(moved(sounds[clip], shift), landmarks)))
        if len(clips) > 1:
            other = clips[(index + 1) % len(clips)]
            rows.append(row(clip.stem, f"sound of {other.stem}", lip_sync.estimate(sounds[other], landmarks)))
    with out.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def row(clip: str, shift: str, found: lip_sync.LipSync) -> dict:
    """One line of the table, times in ms."""
    estimate = "" if found.offset is None else round(1000 * found.offset)
    scores = {"score": round(found.score, 2), "rival": round(found.rival, 2)}
    line = {"clip": clip, "moved_ms": shift, "estimate_ms": estimate, "certain": found.confident, **scores}
    print(", ".join(f"{name} {value}" for name, value in line.items()), flush=True)
    return line


if __name__ == "__main__":
    main()
