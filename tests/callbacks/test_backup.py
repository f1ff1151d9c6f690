"""Copies of a run elsewhere: what is copied, when, and what a target that fails does to a run."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import fsspec
import pytest
from fsspec.registry import known_implementations

from talksplat.callbacks.backup import Backup
from talksplat.callbacks.backup_target import BackupTarget
from talksplat.errors import UserError
from tests.helpers.waiting import HANG

MEMORY = fsspec.filesystem("memory")


@pytest.fixture(autouse=True)
def _empty_memory() -> Iterator[None]:
    yield
    for thread in threading.enumerate():
        if thread.name == "backup":  # one that a run did not wait for would go on copying into the next test
            thread.join(HANG)
    MEMORY.store.clear()
    MEMORY.pseudo_dirs[:] = [""]


def write_run(run_dir: Path, started: str = "monday") -> Path:
    """A run in its second stage."""
    for name in ("01_coarse", "02_fine"):
        (run_dir / "stages" / name / "previews").mkdir(parents=True)
    files = {
        "config.yaml": "seed: 0",
        "run_info.json": json.dumps({"started": started, "seed": 0}),
        "metrics.csv": "step,name,value",
        "wandb_id.txt": "abc",
        "last.ckpt": "newest",
        "best.ckpt": "best",
        "stages/01_coarse/last.ckpt": "coarse",
        "stages/01_coarse/finished.json": "{}",
        "stages/02_fine/last.ckpt": "newest",
        "stages/02_fine/previews/step_000001.png": "picture",
        ".metrics.csv.tmp": "torn",
    }
    for name, text in files.items():
        (run_dir / name).write_text(text)
    return run_dir


def names(folder: str = "/bucket/run") -> set[str]:
    return {path.removeprefix(f"{folder}/") for path in MEMORY.find(folder)}


def test_what_is_copied_while_training_and_at_the_end(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path / "run")
    with Backup("memory://bucket").of(run_dir):
        pass
    unfinished = names()
    assert unfinished == {
        "config.yaml",
        "run_info.json",
        "metrics.csv",
        "wandb_id.txt",
        "last.ckpt",
        "best.ckpt",
        "stages/01_coarse/last.ckpt",
        "stages/01_coarse/finished.json",
        "stages/02_fine/last.ckpt",
    }
    with Backup("memory://bucket").of(run_dir):
        (run_dir / "test").mkdir()
        (run_dir / "test" / "render.mp4").write_text("video")
        (run_dir / "metrics.json").write_text("{}")
    assert names() - unfinished == {"test/render.mp4", "metrics.json"}
    assert MEMORY.cat("/bucket/run/last.ckpt") == b"newest"


def test_only_what_changed_is_sent_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_dir = write_run(tmp_path / "run")
    (run_dir / "last.ckpt").unlink()
    (run_dir / "last.ckpt").hardlink_to(run_dir / "stages" / "02_fine" / "last.ckpt")
    sent: list[str] = []
    put = BackupTarget.put
    monkeypatch.setattr(BackupTarget, "put", lambda self, file, name: (sent.append(name), put(self, file, name)))
    backup = Backup("memory://bucket")
    backup._copy(run_dir)
    assert sent[0] == "run_info.json", "it says whose folder it is"
    assert "last.ckpt" not in sent and MEMORY.cat("/bucket/run/last.ckpt") == b"newest", "the same file is sent once"
    assert sent.index("stages/01_coarse/last.ckpt") < sent.index("stages/01_coarse/finished.json")
    sent.clear()
    (run_dir / "metrics.csv").write_text("step,name,value\n1,loss,0.5\n")
    backup._copy(run_dir)
    assert sent == ["metrics.csv"]


def test_another_run_of_the_same_name_keeps_its_backup(tmp_path: Path) -> None:
    for day in ("monday", "tuesday", "monday"):
        run_dir = write_run(tmp_path / f"of_{day}_{len(list(tmp_path.iterdir()))}" / "run", started=day)
        with Backup("memory://bucket").of(run_dir):
            pass
    assert sorted(MEMORY.ls("/bucket", detail=False)) == ["/bucket/run", "/bucket/run_2"], "monday's was gone on with"
    assert json.loads(MEMORY.cat("/bucket/run_2/run_info.json"))["started"] == "tuesday"


def test_a_file_is_whole_or_absent_in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_dir = write_run(tmp_path / "run")
    place = BackupTarget(str(tmp_path / "nas"), run_dir)

    class Breaks:
        def read(self, size: int) -> bytes:
            raise OSError("the cable is out")

    with open(run_dir / "config.yaml", "rb") as file:
        place.put(file, "config.yaml")
    with pytest.raises(OSError, match="cable"):
        place.put(Breaks(), "config.yaml")
    assert [path.name for path in (tmp_path / "nas" / "run").iterdir()] == ["config.yaml"]
    assert (tmp_path / "nas" / "run" / "config.yaml").read_text() == "seed: 0"


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_a_failing_target_warns_once_and_is_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run_dir = write_run(tmp_path / "run")
    nas = tmp_path / "nas"
    nas.write_text("a file where the folder should be: nothing can be written below it")
    backup = Backup(str(nas))
    for _ in range(3):
        backup._copy(run_dir)
    (warning,) = warnings_of(caplog)
    assert str(nas) in warning and "training continues" in warning
    nas.unlink()
    backup._copy(run_dir)
    assert (nas / "run" / "last.ckpt").read_text() == "newest"


def test_a_disk_that_is_not_mounted_is_not_made(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Backup(str(tmp_path / "mnt" / "nas")).of(write_run(tmp_path / "run")):
        pass
    assert "is it mounted?" in warnings_of(caplog)[0] and "copy" in warnings_of(caplog)[-1]
    assert not (tmp_path / "mnt").exists()


def test_a_run_waits_for_a_slow_target_only_so_long(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def hang(self: BackupTarget, file: object, name: str) -> None:
        begun.set()
        go_on.wait(HANG)

    monkeypatch.setattr(BackupTarget, "put", hang)
    with Backup("memory://bucket", wait_seconds=0.1).of(write_run(tmp_path / "run")):
        assert begun.wait(HANG), "copying begins at once, beside the training"
    (warning,) = warnings_of(caplog)
    assert "not finished within backup.wait_seconds=0.1" in warning
    go_on.set()


def test_copies_are_made_while_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_dir = write_run(tmp_path / "run")
    first, newer, put = threading.Event(), threading.Event(), BackupTarget.put

    def note(self: BackupTarget, file: BinaryIO, name: str) -> None:
        put(self, file, name)
        if name == "last.ckpt":
            (newer if MEMORY.cat("/bucket/run/last.ckpt") == b"newer" else first).set()

    monkeypatch.setattr(BackupTarget, "put", note)
    with Backup("memory://bucket", every_minutes=0.02 / 60).of(run_dir):
        assert first.wait(HANG)
        (run_dir / "last.ckpt").write_text("newer")
        assert newer.wait(HANG), "the changed checkpoint was not copied"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("nowhere://bucket", "no protocol nowhere://"),
        ("lacking://bucket", "pip install no_such_package"),
        ("ssh://me:secret@host/runs", "password"),
        ("{run}/copy", "where the run itself is"),
        ("{run}/..", "where the run itself is"),
    ],
)
def test_a_target_that_can_never_work_is_named_before_training(
    target: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacking = {"class": "no_such_package.files.FileSystem", "err": "Install no_such_package to reach it"}
    monkeypatch.setitem(known_implementations, "lacking", lacking)
    if target.startswith("ssh"):
        monkeypatch.setattr(fsspec, "get_filesystem_class", lambda protocol: object)
    with pytest.raises(UserError, match=message):
        Backup(target.format(run=tmp_path / "run")).check_available(tmp_path / "run")
