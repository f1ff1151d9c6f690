"""The processes of a run: however one of them ends, none is left over, and the reason is told."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist

from talksplat.errors import UserError
from talksplat.parallel.launcher import LocalLauncher, on_parent_exit
from tests.helpers.processes import children_of
from tests.helpers.waiting import wait_until

CPU = torch.device("cpu")
# Stands for `talksplat.training.worker`, without the seconds that its imports cost.
OTHER = """
import os, sys
import torch.distributed as dist
rank, world, port = map(int, sys.argv[2:5])
config = sys.stdin.read()
store = dist.TCPStore("127.0.0.1", port, world, is_master=False)
store.set(f"ready/{rank}", "")
dist.init_process_group("gloo", store=store, rank=rank, world_size=world)
dist.barrier()
exec(config)
"""


@pytest.fixture(autouse=True)
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other_process.py").write_text(OTHER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("talksplat.parallel.launcher.MODULE", "other_process")


@pytest.fixture
def before() -> set[int]:
    """Children of this process that earlier tests left, such as joblib's."""
    return set(children_of(os.getpid()))


def test_a_process_that_ends_well(tmp_path: Path) -> None:
    with LocalLauncher(tmp_path, "print('well done')", 2, CPU):
        assert dist.get_world_size() == 2
        dist.barrier()
    assert not dist.is_initialized()
    assert "well done" in (tmp_path / "processes" / "rank_1.log").read_text()


def test_a_process_that_fails_ends_the_run(tmp_path: Path, before: set[int]) -> None:
    message = r"process 1 of 2 failed: killed by signal 9.*rank_1\.log"
    with pytest.raises(UserError, match=message), LocalLauncher(tmp_path, "os.kill(os.getpid(), 9)", 2, CPU):
        dist.barrier()
        dist.barrier()  # nobody comes
    assert set(children_of(os.getpid())) <= before
    assert not dist.is_initialized()


@pytest.mark.parametrize(
    ("log", "message"),
    [
        ("Traceback\n  File x\n[rank1]: ValueError: out of range\n", "ValueError: out of range"),
        ("begin\nerror: the disk is full\nwarning: a group was not closed\n", "the disk is full"),
        ("", "no output"),
    ],
)
def test_the_reason_is_the_other_processes_own(log: str, message: str, tmp_path: Path) -> None:
    launcher = LocalLauncher(tmp_path, "", 2, CPU)
    launcher.processes = {1: SimpleNamespace(returncode=2, poll=lambda: 2)}
    (tmp_path / "processes").mkdir()
    (tmp_path / "processes" / "rank_1.log").write_text(log)
    assert launcher._failure().startswith(f"process 1 of 2 failed: {message} (log: ")


def test_a_process_that_cannot_start_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: set[int]
) -> None:
    monkeypatch.setattr("talksplat.parallel.launcher.MODULE", "no_such_module")
    with pytest.raises(UserError, match="process 1 of 2 failed: .*No module named no_such_module"):
        LocalLauncher(tmp_path, "", 2, CPU).__enter__()
    assert set(children_of(os.getpid())) <= before


def test_an_error_of_the_first_process_is_kept(tmp_path: Path, before: set[int]) -> None:
    with (
        pytest.raises(UserError, match="^no space left$"),
        LocalLauncher(tmp_path, "import time; time.sleep(600)", 2, CPU),
    ):
        dist.barrier()
        raise UserError("no space left")
    assert set(children_of(os.getpid())) <= before


def test_a_process_ends_with_the_first_one() -> None:
    """Also while it waits for an answer that will not come."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()

    def first() -> None:
        def second() -> None:
            on_parent_exit(parent, lambda: os._exit(1))
            store = dist.TCPStore("127.0.0.1", 0, 2, is_master=True, wait_for_workers=False)
            theirs.send(os.getpid())
            store.get("never")

        parent = os.getpid()
        process = context.Process(target=second)
        process.start()
        time.sleep(600)

    process = context.Process(target=first)
    process.start()
    pid = ours.recv()
    time.sleep(0.5)  # by when it waits
    assert pid in children_of(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), "its end")
