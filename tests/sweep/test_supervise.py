"""What becomes of a job is noted, whatever becomes of it."""

from __future__ import annotations

import csv
import os
import signal
import threading
from pathlib import Path

import pytest

from talksplat.errors import Interrupted, UserError
from talksplat.sweep import supervise
from talksplat.sweep.folder import SweepFolder
from talksplat.sweep.processes import ProcessLauncher
from talksplat.sweep.state import DONE, FAILED, INTERRUPTED, PRUNED, RUNNING, JobState, holding, read_state, write_state
from talksplat.sweep.supervise import Supervisor
from tests.helpers.waiting import wait_until
from tests.sweep.fakes import make_folder, use_program

FATES = """
print("working", flush=True)
if name == "good": finish()
elif name == "user": print("error: loss.lip needs vgg16.pth"); sys.exit(1)
elif name == "bug": raise ValueError("shapes differ")
elif name == "memory": os.kill(os.getpid(), signal.SIGKILL)
elif name == "stopped": print("interrupted in stage coarse at step 7"); sys.exit(75)
elif name == "pruned": print("given up at step 9"); sys.exit(76)
"""


def starts(folder: SweepFolder, job: str) -> int:
    return int((folder.job_dir(job) / "starts").read_text())


def test_every_fate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["good", "user", "bug", "memory", "stopped", "pruned"]
    use_program(monkeypatch, tmp_path, FATES)
    folder, spec = make_folder(tmp_path / "sweep", *names)
    ProcessLauncher(parallel=2).run(folder, names, str(tmp_path), 0)
    states = {name: folder.state(name) for name in names}
    assert {name: state.state for name, state in states.items()} == {
        "good": DONE,
        "user": FAILED,
        "bug": FAILED,
        "memory": FAILED,
        "stopped": INTERRUPTED,
        "pruned": PRUNED,
    }
    assert states["user"].error == "loss.lip needs vgg16.pth"
    assert states["bug"].error == "ValueError: shapes differ"
    assert "SIGKILL: out of memory?" in states["memory"].error
    assert "Traceback" in folder.log("bug").read_text() and "working" in folder.log("bug").read_text()
    folder.write_status(spec.jobs)
    rows = {row["job"]: row for row in csv.DictReader((folder.path / "status.csv").open())}
    assert rows["bug"]["error"] == "ValueError: shapes differ" and rows["bug"]["log"] == "bug/job.log"
    assert rows["good"]["state"] == "done" and float(rows["good"]["seconds"]) >= 0

    ProcessLauncher().run(folder, names, str(tmp_path), 0)
    assert {name: starts(folder, name) for name in names} == {
        "good": 1,
        "user": 2,
        "bug": 2,
        "memory": 2,
        "stopped": 2,
        "pruned": 1,
    }, "what has ended does not run again"
    assert folder.state("bug").attempts == 2
    assert folder.log("bug").read_text().count("--- attempt") == 2


def test_a_full_disk_is_that_jobs_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_program(monkeypatch, tmp_path, "finish()")
    folder, _ = make_folder(tmp_path / "sweep", "job")
    notes = []

    def note(run_dir: Path, state: JobState) -> None:
        notes.append(state)
        if len(notes) == 1:
            raise UserError("cannot write job.json (No space left on device)")
        write_state(run_dir, state)

    monkeypatch.setattr(supervise, "write_state", note)
    assert Supervisor(folder, "job", str(tmp_path)).run().state == FAILED
    assert "No space left" in folder.state("job").error


def test_interrupting_reaches_the_jobs_and_starts_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_program(
        monkeypatch,
        tmp_path,
        "signal.signal(signal.SIGINT, lambda *_: sys.exit(75))\n(run / 'ready').touch()\ntime.sleep(600)\n",
    )
    folder, _ = make_folder(tmp_path / "sweep", "first", "second")

    def press() -> None:
        wait_until((folder.job_dir("first") / "ready").exists, "the start of the first job")
        os.kill(os.getpid(), signal.SIGINT)

    presses = threading.Thread(target=press, daemon=True)
    presses.start()
    with pytest.raises(Interrupted):
        ProcessLauncher().run(folder, ["first", "second"], str(tmp_path), 0)
    presses.join()
    assert folder.state("first").state == INTERRUPTED
    assert not (folder.job_dir("second") / "starts").exists()


def test_a_job_that_another_process_works_on_is_waited_for_and_not_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_program(monkeypatch, tmp_path, "time.sleep(0.5); finish()")
    folder, _ = make_folder(tmp_path / "sweep", "job")
    supervisors = [Supervisor(folder, "job", str(tmp_path)) for _ in range(2)]
    threads = [threading.Thread(target=one.run) for one in supervisors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert starts(folder, "job") == 1 and folder.state("job").state == DONE


def test_notes_of_a_killed_supervisor_are_corrected(tmp_path: Path) -> None:
    write_state(tmp_path / "gone", JobState(state=RUNNING, attempts=1))
    assert read_state(tmp_path / "gone").state == INTERRUPTED
    write_state(tmp_path / "ended", JobState(state=RUNNING, attempts=1))
    (tmp_path / "ended" / "metrics.json").touch()
    assert read_state(tmp_path / "ended").state == DONE
    with holding(tmp_path / "gone", ".job.lock"):
        assert read_state(tmp_path / "gone").state == RUNNING


def test_gpus_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def devices(launcher: ProcessLauncher, wanted: int | None) -> list[str]:
        return [slot["CUDA_VISIBLE_DEVICES"] for slot in launcher.slots(wanted)]

    assert devices(ProcessLauncher(), 1) == ["0", "1", "2", "3"]
    assert devices(ProcessLauncher(), 2) == ["0,1", "2,3"]
    assert devices(ProcessLauncher(), None) == ["0,1,2,3"]
    assert devices(ProcessLauncher(parallel=2), 1) == ["0", "1"]
    assert devices(ProcessLauncher(gpus_per_job=2), 1) == ["0,1", "2,3"]
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7,GPU-3f,6")
    assert devices(ProcessLauncher(), 1) == ["5", "7", "GPU-3f", "6"]
    assert ProcessLauncher().slots(0) == [{}]
    cores = len(os.sched_getaffinity(0))
    assert ProcessLauncher(parallel=2).slots(0)[0]["OMP_NUM_THREADS"] == str(max(1, cores // 2))
