"""The commands of the README, as a user types them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from talksplat.config import CONF_DIR
from tests.helpers.runs import small_overrides

ROOT = CONF_DIR.parent


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_sweep_render_and_compare(tiny_subject: Path, tmp_path: Path) -> None:
    sweep = run(
        str(ROOT / "train.py"), "-m", "seed=0,1", *small_overrides(tiny_subject), "hydra.sweep.dir=sweep", cwd=tmp_path
    )
    assert sweep.returncode == 0, sweep.stderr
    runs = sorted(path.parent for path in (tmp_path / "sweep").rglob("metrics.json"))
    assert len(runs) == 2
    assert {json.loads((path / "run_info.json").read_text())["seed"] for path in runs} == {0, 1}
    for path in runs:
        chosen = yaml.safe_load((path / "config.yaml").read_text())["chosen"]
        assert f"seed={path.name[-1]}" in chosen["overrides"] and chosen["groups"]["model"] == "gaussiantalker"
        metrics = json.loads((path / "metrics.json").read_text())
        assert metrics["size_bytes"] >= 4 * sum(metrics["parameters"].values())
    talk = run(
        str(ROOT / "render.py"), f"checkpoint={runs[0]}/last.ckpt", "text=Hello", "output=talk.mp4", cwd=tmp_path
    )
    assert talk.returncode == 0, talk.stderr
    assert (tmp_path / "talk.mp4").stat().st_size > 1000
    table = run("-m", "talksplat.compare", "runs=sweep", "out=compare", "video=false", cwd=tmp_path)
    assert table.returncode == 0, table.stderr
    assert "2 (0, 1)" in (tmp_path / "compare" / "comparison.md").read_text()


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
