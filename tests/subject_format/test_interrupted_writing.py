"""A subject folder that was being written when its process was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from talksplat.subject_format.writer import HALF, SubjectWriter

IMAGE = np.full((32, 32, 3), 90, np.uint8)
FRAME = (IMAGE, np.ones((32, 32), np.uint8), np.zeros((32, 32, 4), np.uint8), np.full((68, 2), 9.0))


def write_all(writer: SubjectWriter, count: int = 6) -> list[int]:
    """Frames that had to be written."""
    fresh = [number for number in range(count) if not writer.has_frame(number)]
    for number in fresh:
        writer.write_frame(number, *FRAME)
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, 2, 3] = 7
    writer.write_track(np.arange(count), poses, 1200.0, np.zeros((4, 3)))
    writer.write_background(IMAGE)
    writer.write_manifest({})
    return fresh


KILLED = """
import sys, time
from pathlib import Path
from talksplat.subject_format.writer import SubjectWriter
from tests.subject_format.test_interrupted_writing import FRAME
with SubjectWriter(Path(sys.argv[1]), 32, 32, key="a") as writer:
    for number in range(3):
        writer.write_frame(number, *FRAME)
    (writer.folder / "ori_imgs" / ("3.jpg" + sys.argv[2])).write_bytes(b"half a picture")
    print("ready", flush=True)
    time.sleep(600)
"""


def test_frames_written_before_a_kill_are_kept_and_nothing_is_left_over(tmp_path: Path):
    root = tmp_path / "subject"
    (tmp_path / ".subject.partial-old").mkdir()
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(root), HALF], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "ready\n"
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    kept = tmp_path / ".subject.partial-a" / "ori_imgs" / "1.jpg"
    before = kept.stat().st_mtime_ns
    time.sleep(0.01)
    with SubjectWriter(root, 32, 32, key="a") as writer:
        assert write_all(writer) == [3, 4, 5]
        writer.finish()
    assert (root / "ori_imgs" / "1.jpg").stat().st_mtime_ns == before
    assert sorted(path.name for path in (root / "ori_imgs").iterdir())[:2] == ["0.jpg", "0.lms"]
    assert len(list((root / "ori_imgs").iterdir())) == 12
    assert [path.name for path in tmp_path.iterdir()] == ["subject"]


def test_frames_made_of_something_else_are_not_used(tmp_path: Path):
    with pytest.raises(KeyboardInterrupt), SubjectWriter(tmp_path / "s", 32, 32, key="a") as writer:
        writer.write_frame(0, *FRAME)
        raise KeyboardInterrupt
    assert (tmp_path / ".s.partial-a").is_dir()
    with SubjectWriter(tmp_path / "s", 32, 32, key="b") as writer:
        assert write_all(writer) == list(range(6))
        writer.finish()
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_an_error_leaves_nothing(tmp_path: Path):
    with pytest.raises(ValueError), SubjectWriter(tmp_path / "s", 32, 32, key="a") as writer:
        writer.write_frame(0, *FRAME)
        raise ValueError
    assert not list(tmp_path.iterdir())
