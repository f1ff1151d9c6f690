"""Is there a cut where head meets neck and torso? Image gradient across that border over the original frames'.

    python experiments/data_quality/seam.py subject=FOLDER [masks=soft|hard] [every=10]
    python experiments/data_quality/seam.py run=RUN [subject=FOLDER]

The first measures what training aims at, `target`, and the same with the head layer two pixels out of place, which is
what a rendering does whose pose is a little wrong. The second measures a run's held-out frames (`RUN/test/render.mp4`).
One row a line is printed as CSV: mean absolute gradient of the pictures, of the originals, and their ratio.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from omegaconf import OmegaConf

from talksplat.data.frame_cache import pack_frame, unpack_frames
from talksplat.entry_points import exits_cleanly
from talksplat.errors import UserError
from talksplat.media.video import read_frames
from talksplat.metrics.seam import seam_gradient
from talksplat.subject_format.labels import Label, decode_parsing
from talksplat.subject_format.subject import Subject, load_background, load_frame, read_subject
from talksplat.types import FrameBatch

PARTS = {"all": (Label.NECK, Label.TORSO), "neck": (Label.NECK,), "torso": (Label.TORSO,)}
MISPLACED = 2  # pixels


def labels_of(subject: Subject, frame_id: int) -> np.ndarray:
    return decode_parsing(cv2.imread(str(subject.root / "parsing" / f"{frame_id}.png")))


def composites(subject: Subject, every: int) -> Iterator[tuple[int, np.ndarray, dict[str, np.ndarray]]]:
    """Frame number, original and pictures of every n-th frame."""
    plate = load_background(subject)
    for frame_id in subject.frame_ids[::every].tolist():
        frame = load_frame(subject, frame_id, plate)
        packed = torch.from_numpy(pack_frame(frame))[None]
        images = unpack_frames(packed, subject.width, subject.height, subject.soft_masks)
        batch = FrameBatch(torch.tensor([frame_id]), None, lip_boxes=torch.zeros(1, 4), **images)
        target, alpha = batch.target[0].numpy(), batch.head_alpha[0, ..., None].numpy()
        behind = batch.background[0].numpy()
        pictures = {"target": target * 255}
        head = target - (1 - alpha) * behind  # the head layer, times alpha
        for name, (x, y) in {"right": (1, 0), "left": (-1, 0), "down": (0, 1), "up": (0, -1)}.items():
            shift = np.float32([[1, 0, MISPLACED * x], [0, 1, MISPLACED * y]])
            moved = cv2.warpAffine(
                np.dstack([head, alpha]), shift, target.shape[1::-1], borderMode=cv2.BORDER_REPLICATE
            )
            pictures[f"misplaced {name}"] = 255 * (moved[..., :3] + (1 - moved[..., 3:]) * behind)
        yield frame_id, frame["original"], pictures


def rendered(subject: Subject, run: Path) -> Iterator[tuple[int, np.ndarray, dict[str, np.ndarray]]]:
    """Frame number, original and rendering of a run's held-out frames."""
    video, numbers = run / "test" / "render.mp4", run / "metrics.json"
    if not video.is_file() or not numbers.is_file():
        raise UserError(f"run={run} has no test/render.mp4 and metrics.json: it is no finished run of train.py")
    frame_ids = [frame["frame_id"] for frame in json.loads(numbers.read_text())["frames"]]
    for frame_id, image in zip(frame_ids, read_frames(video, subject.fps)):
        yield int(frame_id), load_frame(subject, int(frame_id))["original"], {"held-out rendering": image}


def report(subject: Subject, frames: Iterator) -> list[dict]:
    """One row for each picture and part of the border; means over the frames that have it."""
    values: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for frame_id, original, pictures in frames:
        labels = labels_of(subject, frame_id)
        for name, picture in pictures.items():
            for part, below in PARTS.items():
                pair = seam_gradient(picture, labels, below), seam_gradient(original, labels, below)
                values.setdefault((name.split()[0], part), []).append(pair)
    rows = []
    for (name, part), pairs in values.items():
        pairs = np.array(pairs)[np.isfinite(pairs).all(1)]
        if len(pairs):
            ours, theirs = pairs.mean(0)
            row = {"picture": name, "border": part, "frames": len(pairs), "gradient": round(ours, 2)}
            rows.append({**row, "original": round(theirs, 2), "ratio": round(ours / theirs, 3)})
    return rows


@exits_cleanly
def main() -> None:
    options = OmegaConf.merge({"subject": None, "run": None, "masks": "soft", "every": 10}, OmegaConf.from_cli())
    root = options.subject
    if options.run is not None and root is None:
        info = Path(options.run) / "run_info.json"
        if not info.is_file():
            raise UserError(f"run={options.run} has no run_info.json: give the folder of a finished run of train.py")
        root = json.loads(info.read_text())["subject"]["root"]
    if root is None:
        raise UserError("give subject=FOLDER or run=RUN (see the head of this file)")
    features = sorted(path.name for path in Path(root).glob("aud*.npy"))
    width, window = np.load(Path(root) / features[0], mmap_mode="r").shape[:0:-1]
    subject = read_subject(root, features[:1], width, window, soft_masks=options.masks == "soft")
    frames = composites(subject, options.every) if options.run is None else rendered(subject, Path(options.run))
    rows = report(subject, frames)
    print(",".join(rows[0]))
    for row in rows:
        print(",".join(str(value) for value in row.values()))


if __name__ == "__main__":
    sys.exit(main())
