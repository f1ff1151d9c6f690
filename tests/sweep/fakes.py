"""A sweep whose jobs are quick shell commands instead of trainings: only the process is another, all else is real."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from talksplat.sweep import supervise
from talksplat.sweep.folder import Job, SweepFolder, SweepSpec

HEAD = """
import json, os, signal, sys, time
from pathlib import Path
folder, name = Path(sys.argv[1]), sys.argv[2]
run = folder / name
counter = run / "starts"
counter.write_text(str(int(counter.read_text()) + 1) if counter.exists() else "1")
def finish():
    (run / "metrics.json").write_text(json.dumps({"mean": {"psnr_head": 30.0}, "reasons": {}}))
"""


def use_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, body: str) -> None:
    """Let jobs run `body`, a program that knows `run`, `name` and `finish()`."""
    program = tmp_path / "program.py"
    program.write_text(HEAD + body)
    monkeypatch.setattr(supervise, "job_command", lambda folder, job: [sys.executable, str(program), str(folder), job])


def make_folder(path: Path, *names: str) -> tuple[SweepFolder, SweepSpec]:
    """A sweep that has begun and run nothing."""
    folder = SweepFolder(path)
    spec = SweepSpec("train.py -m", ["seed=0,1"], str(path), {"commit": None}, "2026-01-01T00:00:00+00:00")
    jobs = [Job(name, [f"seed={number}"]) for number, name in enumerate(names)]
    folder.add_jobs(spec, jobs, ["seed: 0\n" for _ in names])
    return folder, spec
