"""Programs of `experiments/` follow the package: they are not run by the suite, but what they import must be there."""

from __future__ import annotations

import csv
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from tests.compare.made_runs import make_run

ROOT = Path(__file__).parents[1]
PROGRAMS = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "experiments").rglob("*.py"))


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_a_program_imports_is_there(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str((ROOT / program).parent))
    runpy.run_path(str(ROOT / program), run_name="imported")


def test_table_of_lips(tmp_path: Path) -> None:
    make_run(tmp_path / "runs" / "one", config__model__tokens={"audio": {}})
    program = [sys.executable, ROOT / "experiments/lips/table.py"]
    subprocess.run([*program, tmp_path / "runs", "--out", tmp_path / "out"], check=True)
    (row,) = csv.DictReader((tmp_path / "out" / "results.csv").open())
    assert row["run"] == "one" and float(row["training (s)"]) > 0
