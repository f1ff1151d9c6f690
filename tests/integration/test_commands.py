"""The commands of the README, as a user types them."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from talksplat.config import CONF_DIR, compose
from tests.helpers.runs import SMALL

ROOT = CONF_DIR.parent


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, timeout=600)


def test_doctor_finds_every_part() -> None:
    done = run("-m", "talksplat.doctor", "--json", cwd=ROOT)
    findings = json.loads(done.stdout)
    assert done.returncode == 0, findings
    assert {finding["part"] for finding in findings} >= {
        "torch",
        "rasteriser",
        "video",
        "audio",
        "speech",
        "face model",
    }
    assert all(finding["remedy"] for finding in findings if finding["state"] == "missing")


@pytest.mark.parametrize("name", ["a=b, (c) [d] #1 'e' \"f\"", "${x} ~$HOME line\nbreak 中文 😀\\"])
def test_training_takes_any_path_from_where_the_user_stands(name: str, tiny_copy: Path, tmp_path: Path) -> None:
    tiny_copy.rename(tmp_path / name)
    place = name.replace("${x}", "")
    paths = [f"dataset.root={name}", f"hydra.run.dir=runs/{place}", "hydra.job.chdir=true", "dry_run=true"]
    done = run(str(ROOT / "train.py"), *SMALL, *paths, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "runs" / place / "train.log").is_file()


def test_a_dry_run_of_a_sweep_prints_jobs_that_can_be_pasted(tiny_copy: Path, tmp_path: Path) -> None:
    root = tiny_copy.rename(tmp_path / "a,b (1)")
    done = run(str(ROOT / "train.py"), "-m", *SMALL, f"dataset.root={root}", "seed=0,1", "dry_run=true", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    jobs = [shlex.split(line)[1:] for line in done.stdout.splitlines() if line[:2] in ("00", "01")]
    assert [compose("train", job).dataset.root for job in jobs] == [str(root)] * 2
    assert [compose("train", job).seed for job in jobs] == [0, 1]


def test_the_settings_are_printed(tmp_path: Path) -> None:
    done = run(str(ROOT / "train.py"), "--cfg", "job", "dataset.root=a, (b)", cwd=tmp_path)
    assert done.returncode == 0 and "root: a, (b)" in done.stdout, done.stdout + done.stderr
    assert not list(tmp_path.iterdir())
