"""A sweep's folder: one command at a time, nothing overwritten, damage is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from talksplat.errors import UserError
from talksplat.sweep.engine import put_aside
from talksplat.sweep.folder import SweepFolder
from tests.sweep.fakes import make_folder


def test_two_sweeps_in_one_folder(tmp_path: Path) -> None:
    first, second = SweepFolder(tmp_path / "sweep"), SweepFolder(tmp_path / "sweep")
    with (
        first.held(),
        pytest.raises(UserError, match="another process is working on .*give another hydra.sweep.dir"),
        second.held(),
    ):
        pass
    with second.held():
        pass


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "sweep" / "00_a").mkdir(parents=True)
    with pytest.raises(UserError, match="00_a is there already"):
        make_folder(tmp_path / "sweep", "00_a", "01_b")
    assert not (tmp_path / "sweep" / "sweep.json").exists()


def test_damage_is_said(tmp_path: Path) -> None:
    folder, spec = make_folder(tmp_path / "sweep", "00_a")
    assert folder.read_spec() == spec
    folder.config_file("00_a").unlink()
    with pytest.raises(UserError, match="cannot read the settings of job 00_a"):
        folder.config("00_a")
    folder.spec_file.write_text('{"format": 1, "jo')
    with pytest.raises(UserError, match="sweep.json is damaged"):
        folder.read_spec()
    folder.spec_file.write_text('{"format": 99}')
    with pytest.raises(UserError, match="another version"):
        folder.read_spec()


def test_a_job_that_runs_again_keeps_what_it_left(tmp_path: Path) -> None:
    folder, spec = make_folder(tmp_path / "sweep", "00_a", "01_b")
    for round_ in range(2):
        folder.job_dir("00_a").mkdir()
        (folder.job_dir("00_a") / "metrics.json").write_text(str(round_))
        put_aside(folder, ["00_a"], spec.jobs)
        assert not folder.job_dir("00_a").exists()
        assert (folder.path / ".replaced" / f"00_a.{round_}" / "metrics.json").read_text() == str(round_)
    with pytest.raises(UserError, match="names 'nonsense': the sweep has 00_a, 01_b"):
        put_aside(folder, ["nonsense"], spec.jobs)
