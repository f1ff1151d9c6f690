"""The commands of the README, as a user types them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from talksplat.config import CONF_DIR

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
