"""What one process writes no other one touches before it ends; a killed one stands in nobody's way."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pytorch_lightning import Callback

from talksplat import learn_lips
from talksplat.compare.__main__ import main as compare
from talksplat.config import CONF_DIR, compose
from talksplat.config.resolvers import unique
from talksplat.data import open as opening
from talksplat.errors import UserError
from talksplat.evaluation.again import new_folder
from talksplat.locks import locked
from talksplat.preprocess.__main__ import main as preprocess
from talksplat.rendering.run import render
from talksplat.sweep.command import run_sweep
from talksplat.training.run import train
from tests.compare.made_runs import make_run
from tests.helpers.runs import small_config, small_overrides

HOLD = "import sys, pathlib, talksplat.locks as f\nwith f.locked(pathlib.Path(sys.argv[1]), 'x'): print('held', flush=True); input()"


def test_a_second_process_is_refused_whatever_it_calls_the_path(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    held = tmp_path / "link" / "out"
    process = subprocess.Popen([sys.executable, "-c", HOLD, held], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    same = locked(tmp_path / "real" / "out", "choose another")
    with pytest.raises(UserError, match=r"another process is working on .*real/out .*or choose another"), same:
        pass
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert (tmp_path / "real" / ".out.lock").is_file()  # stale
    with locked(tmp_path / "real" / "out", "choose another"):
        pass
    assert not list((tmp_path / "real").iterdir())
    (tmp_path / "file").touch()
    below = locked(tmp_path / "file" / "out", "choose another")
    with pytest.raises(UserError, match="cannot make .*file/out .*: choose another"), below:
        pass


@pytest.mark.parametrize("reason", [errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP])
def test_a_file_system_without_locks(tmp_path: Path, monkeypatch, reason: int) -> None:
    """Process ids stand for them, and those of processes that are gone do not count."""
    monkeypatch.setattr("fcntl.flock", lambda *_: (_ for _ in ()).throw(OSError(reason, "no locks")))
    with locked(tmp_path / "out", "x"):
        kept = {path.name: path.read_text() for path in tmp_path.iterdir()}
        with pytest.raises(UserError, match="another process is working on"), locked(tmp_path / "out", "x"):
            pass
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for name, text in kept.items():  # as of a process that was killed
        (tmp_path / name).write_text(text.replace(str(os.getpid()), str(gone.pid)))
        os.utime(tmp_path / name, (1, 1))
    with locked(tmp_path / "out", "x"):
        pass


def test_nothing_stays_of_a_refusal(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="mine"), locked(tmp_path / "new" / "run", "x", inside=True):
        raise UserError("mine")
    assert not (tmp_path / "new" / "run").exists()


class Intruder(Callback):
    """Starts the same run once more while it trains."""

    def __init__(self, again: Callable[[], object]) -> None:
        self.again = again
        self.refusals: list[str] = []

    def on_train_batch_start(self, *_) -> None:
        if not self.refusals:
            with pytest.raises(UserError) as error:
                self.again()
            self.refusals.append(str(error.value))


def test_two_runs_in_one_folder(tiny_subject: Path, tmp_path: Path) -> None:
    """A requeued job resumes while the first one still runs, or both were started at once."""
    run_dir = tmp_path / "run"
    for setting in ("resume=true", "resume=false"):
        again = small_config(tiny_subject, setting)
        intruder = Intruder(lambda config=again: train(config, run_dir))
        train(small_config(tiny_subject), run_dir, [intruder])
        assert "another process is working on" in intruder.refusals[0]
        rows = (run_dir / "metrics.csv").read_text().splitlines()
        assert len(rows) == len(set(rows))
        assert len(json.loads((run_dir / "run_info.json").read_text())["earlier_commands"]) == 0
        shutil.rmtree(run_dir)


def test_two_of_any_other_command(tiny_copy: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    run, out = make_run(tmp_path / "run"), tmp_path / "out"

    def refused(work: Callable[[], object], path: Path = out, inside: bool = False) -> None:
        with locked(path, "x", inside):
            try:
                work()
            except UserError as error:
                text = str(error)
            except SystemExit as end:
                text = capsys.readouterr().err.removeprefix("error: ")
                assert end.code == 2
        assert text.startswith(f"another process is working on {path} ") and text.strip().count("\n") == 0
        assert not path.exists() or not any(path.iterdir())

    monkeypatch.setattr(sys, "argv", ["compare", f"runs={run}", f"out={out}"])
    refused(compare, inside=True)
    refused(lambda: learn_lips.main([f"subjects=[{tiny_copy},{tmp_path}]", f"out={out}", "audio=mel"]))
    refused(lambda: preprocess(["video=clip.mp4", f"subject={out}", "audio=mel"]))
    work = tmp_path / "work"
    refused(lambda: preprocess(["video=clip.mp4", f"subject={out}", f"work_dir={work}", "audio=mel"]), work, True)
    kept = tiny_copy / "aud_wave.npy"
    refused(lambda: preprocess([f"features={tiny_copy}", "audio=waveform"]), kept)
    video = tmp_path / "out.mp4"
    refused(lambda: render(compose("render", ["checkpoint=x", "text=a", f"output={video}"])), video)
    small = small_overrides(tiny_copy)
    refused(lambda: run_sweep(["-m", "seed=0,1", *small, f"hydra.sweep.dir={out}"]), inside=True)


def test_an_evaluation_appears_when_it_is_complete(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (tmp_path / ".out.part" / "test").mkdir(parents=True)  # of a killed process
    (tmp_path / ".out.part" / "left").touch()
    with new_folder(out) as made:
        (made / "metrics.json").touch()
        assert not out.exists()
    assert {path.name for path in tmp_path.rglob("*")} == {"out", "test", "metrics.json"}
    with pytest.raises(UserError, match="out exists already"), new_folder(out):
        pass


def test_runs_of_one_second_have_folders_of_their_own() -> None:
    text = (CONF_DIR / "hydra" / "default.yaml").read_text()
    assert text.count("${now:%Y-%m-%d_%H-%M-%S}_${unique:}") == 2
    first = unique()
    assert first == unique()
    unique.cache_clear()  # as in another process
    assert first != unique() and len(first) == 8


def test_a_run_waits_for_the_sample_that_another_one_makes(tmp_path: Path, monkeypatch) -> None:
    made = []
    monkeypatch.setattr(opening, "instantiate", lambda node: lambda root: made.append(root))
    config = compose("train", ["dataset=sample", f"dataset.root={tmp_path / 'sample'}"])
    thread = threading.Thread(target=opening.ensure_sample, args=(config,))
    with locked(tmp_path / "sample", "x"):
        thread.start()
        (tmp_path / "sample").mkdir()
    thread.join(60)
    assert not thread.is_alive() and made == []


def test_two_runs_fill_one_frame_cache(tiny_copy: Path) -> None:
    data = [small_config(tiny_copy, "dataset.cache=disk") for _ in range(2)]
    threads = [threading.Thread(target=opening.open_subject, args=(config,)) for config in data]
    [thread.start() for thread in threads]
    [thread.join(60) for thread in threads]
    files = list((tiny_copy / ".cache").iterdir())
    assert len(files) == 1 and files[0].suffix == ".u8" and np.fromfile(files[0], np.uint8).any()
