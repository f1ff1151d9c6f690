"""The mouths of several runs over the same held-out frames: a picture and a video.

    python experiments/lips/side_by_side.py RUN [RUN ...] --out FOLDER [--titles NAME ...] [--frames 10]

FOLDER/mouths.jpg: a column for each frame (spread evenly; a row of the originals, then one of each run), enlarged.
FOLDER/mouths.mp4: original and runs beside each other, enlarged mouth under the whole frame, with sound.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from talksplat.compare.load.run import RunResult, read_run
from talksplat.compare.pictures.footage import originals_of, video_path
from talksplat.compare.pictures.style import font_size, jpeg, title_line
from talksplat.media import SAMPLE_RATE
from talksplat.media.sound import read_audio
from talksplat.media.video import probe, read_frames
from talksplat.media.video_writer import VideoWriter
from talksplat.subject_format.images import decode_image
from talksplat.subject_format.landmarks import lip_box, read_landmarks

CELL = 160  # pixels a side of a mouth in the picture
WIDE = 320  # of a column in the video
AROUND = 1.6  # side of the crop in widths of the lips: chin and cheeks' edges are in it
TITLE = 120  # width of the names beside the rows


def mouth(frame: np.ndarray, box: Sequence[int], size: int) -> np.ndarray:
    """The square around a lip box, `size` pixels a side; what lies outside the frame repeats its edge."""
    x, y, half = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, AROUND * (box[2] - box[0]) / 2
    scale = size / (2 * half)
    place = np.array([[scale, 0, size / 2 - scale * x], [0, scale, size / 2 - scale * y]])
    return cv2.warpAffine(frame, place, (size, size), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def boxes_of(originals: Sequence[Path]) -> np.ndarray:
    """Lip boxes of the frames; all of one size, and placed smoothly, so that the crop does not shake."""
    height, width = decode_image(originals[0]).shape[:2]
    boxes = np.array([lip_box(read_landmarks(path.with_suffix(".lms")), width, height) for path in originals], float)
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    near = np.abs(np.arange(len(centers))[:, None] - np.arange(len(centers))) <= 3
    centers = near @ centers / near.sum(1, keepdims=True)
    half = np.percentile(boxes[:, 2:] - boxes[:, :2], 90) / 2
    return np.concatenate([centers - half, centers + half], 1)


def frames_of(run: RunResult, count: int) -> list[np.ndarray]:
    """The held-out frames as they were rendered."""
    path = video_path(run)
    height, width = run.metrics["resolution"][::-1]
    return [frame[:height, :width] for frame, _ in zip(read_frames(path, probe(path).fps), range(count))]


def picture(
    columns: Sequence[int], rows: dict[str, list[np.ndarray]], boxes: np.ndarray, ids: Sequence[int]
) -> np.ndarray:
    """Rows of mouths under the numbers of their frames."""
    letters = font_size(CELL)
    bar = [title_line("", TITLE, letters)] + [title_line(f"{ids[k]}", CELL, letters) for k in columns]
    lines = [np.concatenate(bar, axis=1)]
    for title, frames in rows.items():
        name = np.zeros((CELL, TITLE, 3), np.uint8)
        line = title_line(title, TITLE, letters)
        name[(CELL - len(line)) // 2 :][: len(line)] = line
        lines.append(np.concatenate([name, *(mouth(frames[k], boxes[k], CELL) for k in columns)], axis=1))
    return np.concatenate(lines)


def film(
    path: Path, rows: dict[str, list[np.ndarray]], boxes: np.ndarray, sound: np.ndarray | None, fps: float
) -> None:
    """A column for each: name, frame, mouth."""
    letters = font_size(WIDE)
    titles = np.concatenate([title_line(title, WIDE, letters) for title in rows], axis=1)
    with VideoWriter(path, titles.shape[1], len(titles) + 2 * WIDE, fps, sound, SAMPLE_RATE, crf=20) as writer:
        for number, frames in enumerate(zip(*rows.values())):
            whole = [cv2.resize(frame, (WIDE, WIDE), interpolation=cv2.INTER_AREA) for frame in frames]
            close = [mouth(frame, boxes[number], WIDE) for frame in frames]
            parts = [titles, np.concatenate(whole, axis=1), np.concatenate(close, axis=1)]
            writer.write(np.concatenate(parts))


def sound_of(originals: Sequence[Path], ids: Sequence[int], fps: float) -> np.ndarray | None:
    """The clip's sound from its first held-out frame on."""
    path = originals[0].parents[1] / "aud.wav"
    return read_audio(path)[round(ids[0] / fps * SAMPLE_RATE) :] if path.is_file() else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--titles", nargs="+", help="names of the runs; by default those of their folders")
    parser.add_argument("--frames", type=int, default=10)
    options = parser.parse_args()
    titles = options.titles or [path.name for path in options.runs]
    if len(titles) != len(options.runs):
        parser.error(f"{len(titles)} titles for {len(options.runs)} runs")
    runs = [read_run(path, title) for path, title in zip(options.runs, titles)]
    ids = runs[0].frame_ids
    if any(run.frame_ids != ids for run in runs):
        parser.error("the runs have different held-out frames")
    originals = originals_of(runs)
    if originals is None:
        parser.error("the subject folder of the runs is gone")
    boxes, fps = boxes_of(originals), probe(video_path(runs[0])).fps
    rows = {"original": [decode_image(path) for path in originals]}
    rows |= {run.name: frames_of(run, len(ids)) for run in runs}
    options.out.mkdir(parents=True, exist_ok=True)
    columns = np.linspace(0, len(ids) - 1, min(options.frames, len(ids))).round().astype(int)
    (options.out / "mouths.jpg").write_bytes(jpeg(picture(columns, rows, boxes, ids)))
    film(options.out / "mouths.mp4", rows, boxes, sound_of(originals, ids, fps), fps)
    print(f"{options.out}: {len(ids)} held-out frames of {len(runs)} runs")


if __name__ == "__main__":
    main()
