"""The held-out frames that groups have rendered worst, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float

from talksplat.compare.columns import Column
from talksplat.compare.data import ComparisonData
from talksplat.compare.pictures import footage
from talksplat.compare.pictures.style import APART, font_size, jpeg, title_line
from talksplat.files import write_bytes
from talksplat.subject_format.images import decode_image

RANKED_BY = ("psnr_head", "lpips", "psnr")  # the first that all clips have for single frames
MAX_CLIPS = 4
CELL = 288  # pixels a side at most
GAP = 6
NONE = "no picture of the worst frames:"


def draw_worst_frames(data: ComparisonData, count: int, path: Path) -> None:
    """For each of up to four groups the `count` worst frames: original, rendering, map of the error. A JPEG; not written
    where there are no videos or no originals."""
    clips = footage.find_clips(data, MAX_CLIPS, path.name)
    if not clips:
        return data.notes.add(f"{NONE} no run has test/render.mp4")
    originals = footage.originals_of([clip.run for clip in clips])
    if originals is None:
        return data.notes.add(f"{NONE} the subject folder of the runs is not at dataset.root any more")
    measured = [{name for name, values in clip.run.per_frame.items() if np.isfinite(values).any()} for clip in clips]
    ranked = next((name for name in RANKED_BY if all(name in names for names in measured)), None)
    if ranked is None:
        return data.notes.add(f"{NONE} the runs share none of {', '.join(RANKED_BY)} for single frames")
    columns = [column for column in data.columns.values() if column.metric in RANKED_BY]
    better = data.columns[ranked].better
    worst = [worst_positions(better * clip.run.per_frame[ranked], count) for clip in clips]
    blocks = [_block(clip, positions, originals, columns) for clip, positions in zip(clips, worst)]
    write_bytes(path, jpeg(_arrange(blocks)))


def worst_positions(values: Float[np.ndarray, " frame"], count: int) -> list[int]:
    """Positions of the lowest values, the lowest first, no two closer than `APART`; NaN is left out."""
    chosen: list[int] = []
    for position in np.argsort(values, kind="stable")[: np.isfinite(values).sum()].tolist():
        if len(chosen) < count and all(abs(position - other) >= APART for other in chosen):
            chosen.append(position)
    return chosen


def _block(
    clip: footage.Clip, positions: Sequence[int], originals: Sequence[Path], columns: Sequence[Column]
) -> footage.Frame:
    """Name of a clip, and a row for each frame under its number and values."""
    pictures = {i: frame for i, frame in enumerate(islice(clip.frames(), max(positions) + 1)) if i in positions}
    letters = font_size(CELL)
    rows = [title_line(clip.title, 3 * _cell(decode_image(originals[0])).shape[1], round(1.2 * letters))]
    for position in (position for position in positions if position in pictures):
        original, rendering = decode_image(originals[position]), pictures[position]
        parts = (original, rendering, footage.paint_error(footage.absolute_error(original, rendering)))
        row = np.hstack([_cell(part) for part in parts])
        frame = clip.run.metrics["frames"][position]
        values = [f"{c.title} {c.format(frame[c.metric])}" for c in columns if frame.get(c.metric) is not None]
        rows += [title_line(f"frame {frame['frame_id']}: {', '.join(values)}", row.shape[1], round(0.9 * letters)), row]
    return np.vstack(rows)


def _cell(picture: footage.Frame) -> footage.Frame:
    scale = CELL / max(picture.shape[:2])
    size = (round(scale * picture.shape[1]), round(scale * picture.shape[0]))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)


def _arrange(blocks: Sequence[footage.Frame]) -> footage.Frame:
    """One below the other, or two beside each other where there are more than one."""
    height = max(len(block) for block in blocks)
    filled = [np.pad(block, ((0, height - len(block)), (0, 0), (0, 0))) for block in blocks]
    if len(filled) % 2 and len(filled) > 1:
        filled.append(np.zeros_like(filled[0]))
    gap = np.full((height, GAP, 3), 255, np.uint8)
    rows = [np.hstack([left, gap, right]) for left, right in zip(filled[::2], filled[1::2])] or filled
    line = np.full((GAP, rows[0].shape[1], 3), 255, np.uint8)
    return np.vstack([part for row in rows for part in (row, line)][:-1])
