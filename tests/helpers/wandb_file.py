"""Reads back what Weights & Biases wrote for a run that was tracked offline."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

from tests.helpers.waiting import wait_until

BLOCK, HEADER = 32768, 7  # of LevelDB's log format: checksum, length, kind
WHOLE, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def offline_parts(run_dir: Path) -> list[Path]:
    """Record files of a run folder, one for each time it was started."""
    return sorted(run_dir.glob("wandb/offline-run-*/*.wandb"))


def read_records(path: Path) -> list[Record]:
    """All records of a `.wandb` file."""
    return [Record.FromString(data) for data in _payloads(path.read_bytes())]


def _payloads(data: bytes) -> Iterator[bytes]:
    position, parts = HEADER, b""  # the file has a header as long as a record's
    while position + HEADER <= len(data):
        left = BLOCK - position % BLOCK
        if left < HEADER:
            position += left
            continue
        _, length, kind = struct.unpack("<IHB", data[position : position + HEADER])
        if kind not in (WHOLE, FIRST, MIDDLE, LAST):
            break
        parts += data[position + HEADER : position + HEADER + length]
        position += HEADER + length
        if kind in (WHOLE, LAST):
            yield parts
            parts = b""


def _finished_records(path: Path) -> list[Record]:
    """All records, the last one included: wandb's service writes them a moment after it says that the run is over."""
    wait_until(lambda: any(record.HasField("exit") for record in read_records(path)), f"an end of {path}")
    return read_records(path)


def values(items: Any) -> dict[str, Any]:
    """Keys and values of a history, summary or configuration record."""
    return {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}


class OfflineRun:
    """What one record file says."""

    def __init__(self, path: Path) -> None:
        records = _finished_records(path)
        self.run = next(record.run for record in records if record.HasField("run"))
        self.config = values(self.run.config.update)
        self.history = [values(record.history.item) for record in records if record.HasField("history")]
        self.metrics = [record.metric for record in records if record.HasField("metric")]
        self.artifacts = [record.artifact for record in records if record.HasField("artifact")]
        self.summary: dict[str, Any] = {}
        for record in records:
            if record.HasField("summary"):
                self.summary |= values(record.summary.update)
        self.exit_code = next(record.exit.exit_code for record in records if record.HasField("exit"))
        self.files = path.parent / "files"

    def axis(self, name: str) -> list[Any]:
        """A key of the history, where it is there."""
        return [row[name] for row in self.history if name in row]
