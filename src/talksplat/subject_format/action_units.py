"""Intensities of action units (`au.csv`, written by OpenFace) and other columns by frame number."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from talksplat.errors import UserError

BLINK_COLUMN = "AU45_r"
OPENFACE_COLUMNS = ("frame", "timestamp", "confidence", "success")
MAX_BLINK = 2.0
MAX_INTENSITY = 5.0
# Units of lips and jaw: given to a model, they tell it the mouth's shape in frames that it should guess from the sound.
UNITS = (
    *("AU01", "AU02", "AU04", "AU05", "AU06", "AU07", "AU09", "AU10", "AU12"),
    *("AU14", "AU15", "AU17", "AU20", "AU23", "AU25", "AU26", "AU28", "AU45"),
)
MOUTH_UNITS = ("AU10", "AU12", "AU14", "AU15", "AU17", "AU20", "AU23", "AU25", "AU26")


def read_columns(path: Path) -> dict[str, Float[np.ndarray, " row"]]:
    """Columns of a CSV file by header name without surrounding spaces; NaN for cells that are no numbers.

    Raises UserError if the file cannot be read or has no rows.
    """
    try:
        with path.open(newline="") as file:
            rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"cannot read {path} ({error}): make it again, or remove it") from error
    if len(rows) < 2:
        raise UserError(f"{path} has no rows: make it again, or remove it")
    header = [name.strip() for name in rows[0]]
    columns = [[_number(row, index) for row in rows[1:]] for index in range(len(header))]
    return {name: np.array(values, dtype=np.float64) for name, values in zip(header, columns)}


def _number(row: list[str], index: int) -> float:
    try:
        return float(row[index])
    except (ValueError, IndexError):
        return float("nan")


def read_eye(path: Path, frame_ids: Int[np.ndarray, " frame"], notes: list[str]) -> Float[np.ndarray, " frame"]:
    """Eye feature of each frame in [0, 1]: AU45 clipped to [0, 2] and halved (GaussianTalker).

    Row r belongs to frame r; a `frame` column, which OpenFace counts from 1, goes before the order of the rows. Frames
    without a number get one interpolated between (or held from) their neighbours. Without the file all eyes are open
    (0). Whatever was not as it should be becomes a line in `notes`. Raises UserError if the column is not there.
    """
    if not path.is_file():
        unread = " (bs.npy is not read: the order of its columns depends on what wrote it)"
        unread = unread if (path.parent / "bs.npy").is_file() else ""
        notes.append(f"no au.csv: the eye feature is 0 (open) in every frame{unread}")
        return np.zeros(len(frame_ids), dtype=np.float32)
    columns = read_columns(path)
    if BLINK_COLUMN not in columns:
        raise UserError(f"{path} has no column {BLINK_COLUMN}: run OpenFace with -aus, or remove the file (no blinks)")
    values, missing = _by_frame(path, columns, BLINK_COLUMN, frame_ids)
    if missing:
        notes.append(f"au.csv lacks {missing} of {len(frame_ids)} frames: their eye feature is that of the neighbours")
    return (values.clip(0, MAX_BLINK) / MAX_BLINK).astype(np.float32)


def read_units(
    path: Path, names: Sequence[str], frame_ids: Int[np.ndarray, " frame"], notes: list[str]
) -> Float[np.ndarray, "frame unit"]:
    """Intensities of the columns `names`, divided by 5 into [0, 1]; frames without a number as in `read_eye`.

    Units that the folder does not have are 0, a face at rest, and leave a line in `notes`, as do units of the mouth. Raises
    UserError for a unit that OpenFace does not know.
    """
    if not names:
        return np.zeros((len(frame_ids), 0), dtype=np.float32)
    unknown = next((name for name in names if name[:4] not in UNITS), None)
    if unknown is not None:
        raise UserError(
            f"dataset.action_units has {unknown}, which OpenFace does not measure: choose of {', '.join(UNITS)}"
        )
    columns = read_columns(path) if path.is_file() else {}
    absent = [name for name in names if name not in columns]
    if absent:
        notes.append(
            f"no {', '.join(absent)} in au.csv: 0 (a face at rest) in every frame; OpenFace with -aus measures them"
        )
    mouth = [name for name in names if name[:4] in MOUTH_UNITS]
    if mouth:
        notes.append(
            f"{', '.join(mouth)} of dataset.action_units move the mouth: held-out frames are then told its shape, and "
            "their scores do not compare with those of models that hear the sound only"
        )
    rest = np.zeros(len(frame_ids))
    values = [rest if name in absent else _by_frame(path, columns, name, frame_ids)[0] for name in names]
    values = np.stack(values, axis=1)
    return (values.clip(0, MAX_INTENSITY) / MAX_INTENSITY).astype(np.float32)


def _by_frame(
    path: Path, columns: Mapping[str, np.ndarray], name: str, frame_ids: Int[np.ndarray, " frame"]
) -> tuple[Float[np.ndarray, " frame"], int]:
    """A column by frame number, and how many of the frames had none."""
    values = columns[name]
    numbers = np.arange(len(values), dtype=np.float64)
    if "frame" in columns and np.isfinite(columns["frame"]).all():
        numbers = columns["frame"] - (1 if columns["frame"].min() >= 1 else 0)
    known = np.isfinite(values)
    if not known.any():
        raise UserError(f"{path} has no numbers in column {name}: make it again, or remove it (no blinks)")
    numbers, first = np.unique(numbers[known], return_index=True)
    return np.interp(frame_ids, numbers, values[known][first]), len(np.setdiff1d(frame_ids, numbers))


def action_units_csv(frame_ids: Int[np.ndarray, " frame"], columns: Mapping[str, np.ndarray], fps: float) -> str:
    """Contents of an `au.csv` with one row for every frame number from 0 to the last, as other readers expect.

    `columns` are OpenFace's intensities (0 to 5). Frames between the given ones are interpolated and marked
    `success` 0. Every column is there under the names of older and of newer OpenFace builds, with and without a leading
    space: other readers of the layout know only one of them (GaussianTalker).
    """
    frame_ids = np.asarray(frame_ids)
    every = np.arange(frame_ids[-1] + 1)
    values = [np.interp(every, frame_ids, np.asarray(column, dtype=np.float64)) for column in columns.values()]
    given = np.isin(every, frame_ids)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*OPENFACE_COLUMNS, *(f" {name}" for name in columns), *columns])
    for number in every.tolist():
        success = int(given[number])
        writer.writerow(
            [number + 1, f"{number / fps:.3f}", success, success, *(f"{v[number]:.5f}" for v in 2 * values)]
        )
    return buffer.getvalue()


def signals_csv(frame_ids: Int[np.ndarray, " frame"], columns: Mapping[str, np.ndarray]) -> str:
    """Contents of a `true_signals.csv`: column `frame` (numbers from 0), then what is exactly known of each frame."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["frame", *columns])
    for row in zip(np.asarray(frame_ids).tolist(), *(np.asarray(column).tolist() for column in columns.values())):
        writer.writerow(row)
    return buffer.getvalue()


def read_signals(path: Path, frame_ids: Int[np.ndarray, " frame"]) -> dict[str, Float[np.ndarray, " frame"]]:
    """Known signals of each frame (none without the file). Raises UserError if a frame has no row or no number."""
    if not path.is_file():
        return {}
    columns = read_columns(path)
    numbers = columns.pop("frame", np.zeros(0))
    order = {int(number): row for row, number in enumerate(numbers)}
    missing = [frame_id for frame_id in frame_ids.tolist() if frame_id not in order]
    if missing:
        raise UserError(f"{path} has no row for frame {missing[0]}: make it again, or remove it")
    rows = np.array([order[frame_id] for frame_id in frame_ids.tolist()], dtype=np.int64)
    signals = {name: values[rows].astype(np.float32) for name, values in columns.items()}
    for name, values in signals.items():
        if not np.isfinite(values).all():
            raise UserError(f"{path} has values that are no numbers in column {name}: make it again, or remove it")
    return signals
