"""Intensities of action units (`au.csv`, written by OpenFace) and other columns by frame number."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from talksplat.errors import UserError

BLINK_COLUMN = "AU45_r"
OPENFACE_COLUMNS = ("frame", "timestamp", "confidence", "success")
MAX_BLINK = 2.0
SURE = 0.5  # OpenFace's confidence below which a row does not count
LEAST_COVERED = 0.5  # share of the frames that must have a row that counts
FLAT = 1e-3  # spread of a column that never moves
MANY_UNITS = 5  # intensities that are not all exactly 0 in a face that was found
MAX_INTENSITY = 5.0
WORDS = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0}  # of tables that went through other programs
# Units of lips and jaw: given to a model, they tell it the mouth's shape in frames that it should guess from the sound.
UNITS = (
    *("AU01", "AU02", "AU04", "AU05", "AU06", "AU07", "AU09", "AU10", "AU12"),
    *("AU14", "AU15", "AU17", "AU20", "AU23", "AU25", "AU26", "AU28", "AU45"),
)
MOUTH_UNITS = ("AU10", "AU12", "AU14", "AU15", "AU17", "AU20", "AU23", "AU25", "AU26")


def read_columns(path: Path) -> dict[str, Float[np.ndarray, " row"]]:
    """Columns of a CSV file by header name without surrounding spaces; 1 and 0 for true and false, NaN for other cells that are no
    numbers.

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
        cell = row[index].strip().lower()
        return WORDS[cell] if cell in WORDS else float(cell)
    except (ValueError, IndexError):
        return float("nan")


def read_eye(path: Path, frame_ids: Int[np.ndarray, " frame"], notes: list[str]) -> Float[np.ndarray, " frame"]:
    """Eye feature of each frame in [0, 1]: AU45 clipped to [0, 2] and halved (GaussianTalker).

    Row r belongs to frame r; a `frame` column, which OpenFace counts from 1, goes before the order of the rows. Frames
    without a row that counts (`usable_rows`) get a number interpolated between (or held from) their neighbours. Without the
    file all eyes are open (0). Whatever was not as it should be becomes a line in `notes`. Raises UserError if the column is
    not there, or most frames have no row that counts.
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
        notes.append(
            f"au.csv lacks {missing} of {len(frame_ids)} frames (no row, no number, success 0, confidence below {SURE:g}, or "
            "all 0): their eye feature is that of the neighbours"
        )
    eye = values.clip(0, MAX_BLINK) / MAX_BLINK
    if np.ptp(eye) < FLAT:
        scale = f" between 0 and {MAX_BLINK:g} (its values reach {values.max():g})" if np.ptp(values) >= FLAT else ""
        notes.append(f"{BLINK_COLUMN} of au.csv hardly changes in these frames{scale}: the avatar will not blink")
    return eye.astype(np.float32)


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
    """A column by frame number, and how many of the frames had none. Raises UserError where that is most of them, or rows of
    one frame differ."""
    values, numbers = columns[name], np.arange(len(columns[name]), dtype=np.float64)
    if "frame" in columns and np.isfinite(columns["frame"]).any():
        numbers = columns["frame"] - (1 if np.nanmin(columns["frame"]) >= 1 else 0)
    rows = np.flatnonzero(np.isfinite(values) & np.isfinite(numbers) & usable_rows(columns))
    sure = columns.get("confidence", np.ones(len(values)))
    rows = rows[np.argsort(-sure[rows], kind="stable")]  # of several faces in a frame, the surest
    known, first, place = np.unique(numbers[rows], return_index=True, return_inverse=True)
    best = rows[first]
    twice = (values[rows] != values[best][place]) & (sure[rows] == sure[best][place])
    if twice.any():
        frame = known[place[twice][0]]
        raise UserError(f"{path} has rows that differ for one frame (number {frame:g} from 0): keep those of one face")
    missing = int(len(frame_ids) - np.isin(frame_ids, known).sum())
    if missing > LEAST_COVERED * len(frame_ids):
        span = f", its rows that count are of frames {known[0]:g} to {known[-1]:g} from 0" if len(known) else ""
        raise UserError(
            f"{path} has numbers in column {name} that count (success not 0, confidence from {SURE:g}) for "
            f"{len(frame_ids) - missing} of {len(frame_ids)} frames{span}: make it again of these frames, or remove it (no blinks)"
        )
    return np.interp(frame_ids, known, values[best]), missing


def usable_rows(columns: Mapping[str, np.ndarray]) -> Bool[np.ndarray, " row"]:
    """Rows that OpenFace does not mark as failed: `success` 0, low `confidence`, or nothing but zeros measured."""
    every = np.ones(len(next(iter(columns.values()))))
    usable = ~(columns.get("success", every) <= 0) & ~(columns.get("confidence", every) < SURE)
    intensities = [values for name, values in columns.items() if name.endswith("_r")]
    if len(intensities) < MANY_UNITS or not np.any(intensities):
        return usable
    return usable & np.any(intensities, axis=0)


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
    """Known signals of each frame (none without the file). Raises UserError if a frame has no row, several, or no number."""
    if not path.is_file():
        return {}
    columns = read_columns(path)
    numbers = columns.pop("frame", np.zeros(0)).tolist()
    order, rows_of = {number: row for row, number in enumerate(numbers)}, Counter(numbers)
    missing = [frame_id for frame_id in frame_ids.tolist() if rows_of[frame_id] != 1]
    if missing:
        raise UserError(f"{path} has not one row for frame {missing[0]}: make it again, or remove it")
    rows = np.array([order[frame_id] for frame_id in frame_ids.tolist()], dtype=np.int64)
    signals = {name: values[rows].astype(np.float32) for name, values in columns.items()}
    for name, values in signals.items():
        if not np.isfinite(values).all():
            raise UserError(f"{path} has values that are no numbers in column {name}: make it again, or remove it")
    return signals
