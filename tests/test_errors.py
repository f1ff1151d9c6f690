"""Whatever the system refuses is one line that names the place and what helps, and exit status 2."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import torch

from talksplat.entry_points import exits_cleanly
from talksplat.errors import UserError
from talksplat.files import write_archive, writing
from talksplat.media.video_writer import VideoWriter
from talksplat.system_errors import write_error
from talksplat.trackers.csv_tracker import CsvTracker

FULL = Path("/dev/full")  # refuses each write as a full disk does


def say(error: BaseException, capsys: pytest.CaptureFixture) -> tuple[str, int]:
    """What a command prints that ends with an error, and its exit status."""

    @exits_cleanly
    def main() -> None:
        raise error

    with pytest.raises(SystemExit) as end:
        main()
    return capsys.readouterr().err, end.value.code


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "MiB free: free some space there"),
        (errno.EDQUOT, "your quota there is used up"),
        (errno.EROFS, "choose another place"),
        (errno.EACCES, "permissions"),
        (errno.EMFILE, "ulimit -n"),
        (errno.ENAMETOOLONG, "choose another place"),
        (errno.ENOENT, "give another path"),
    ],
)
def test_errors_of_the_system_are_one_line(
    number: int, words: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    text, status = say(OSError(number, os.strerror(number), str(tmp_path / "x")), capsys)
    assert status == 2 and text.count("\n") == 1
    assert text.startswith("error: ") and str(tmp_path / "x") in text and os.strerror(number) in text and words in text


def test_an_interruption_is_one_line(capsys: pytest.CaptureFixture) -> None:
    assert say(KeyboardInterrupt(), capsys) == ("interrupted\n", 130)


@pytest.mark.parametrize("library, package", [("libGL.so.1", "libgl1"), ("libEGL.so.1", "libegl1 libgles2")])
def test_a_missing_system_library_says_what_to_install(
    library: str, package: str, capsys: pytest.CaptureFixture
) -> None:
    text, status = say(ImportError(f"{library}: cannot open shared object file: No such file or directory"), capsys)
    assert status == 2 and library in text and f"apt-get install {package}" in text


def test_the_disk_that_is_full_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy from a temporary folder fails at its target; a file that grows in a temporary folder fails there."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    usage = namedtuple("usage", "free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage((path != tmp_path / "b") << 30))
    monkeypatch.setattr(Path, "is_mount", lambda path: path.parent == tmp_path)
    copy = OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "a" / "x"), None, str(tmp_path / "b" / "y"))
    assert f"cannot write {tmp_path}/b/y (No space" in str(write_error(copy))
    assert f"{tmp_path}/b has 0 MiB free" in str(write_error(copy, tmp_path / "b" / "y"))
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "b"))
    text = str(write_error(OSError(errno.ENOSPC, "No space left on device"), tmp_path / "a" / "y"))
    assert f"cannot write {tmp_path}/a/y" in text and f"{tmp_path}/b has 0 MiB free" in text


def test_checkpoint_on_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot write .*a\.ckpt \(.*MiB free"):
        write_archive(lambda path: torch.save({"x": torch.zeros(1 << 16)}, FULL), tmp_path / "a.ckpt")


def test_video_on_a_full_disk(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "a.mp4", 64, 64)
    writer._temporary.symlink_to(FULL)
    with pytest.raises(UserError, match=r"cannot write .*a\.mp4 \(No space left.*MiB free"), writer:
        for _ in range(400):
            writer.write(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_history_on_a_full_disk() -> None:
    tracker = CsvTracker()
    tracker.path = FULL
    with pytest.raises(UserError, match=r"cannot write /dev/full \(No space left"):
        tracker.log_metrics({"loss": 1.0}, 1)


def test_a_folder_that_became_read_only(tmp_path: Path) -> None:
    words = r"cannot write .*x \(Read-only file system\): choose another place"
    with pytest.raises(UserError, match=words), writing(tmp_path / "x"):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(tmp_path / ".x.1.tmp"))


def test_a_refusal_that_the_saving_library_hides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM), str(path))

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(UserError, match=r"a\.ckpt \(Operation not permitted\): .*permissions"):
        write_archive(lambda path: None, tmp_path / "a.ckpt")


PRINTS = """
import os, sys
from talksplat.entry_points import exits_cleanly
@exits_cleanly
def main():
    for _ in range(int(sys.argv[1])):
        print(os.fsdecode(b"name \\xff"))
main()
"""


def test_a_reader_that_left_ends_the_command_silently() -> None:
    script = f'"{sys.executable}" -c "$0" 200000 | head -n 1; echo "${{PIPESTATUS[0]}}"'
    done = subprocess.run(["bash", "-c", script, PRINTS], capture_output=True)
    assert done.stdout == b"name \xff\n141\n" and done.stderr == b""


def test_names_that_are_no_text_can_be_printed() -> None:
    for encoding, shown in (("utf-8", b"name \xff\n"), ("ascii", b"name \\udcff\n")):
        environment = os.environ | {"PYTHONIOENCODING": encoding}
        done = subprocess.run([sys.executable, "-c", PRINTS, "1"], capture_output=True, env=environment)
        assert (done.stdout, done.stderr, done.returncode) == (shown, b"", 0)
