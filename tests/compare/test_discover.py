from __future__ import annotations

import pytest

from talksplat.compare.load.discover import find_runs, run_names, split_runs
from talksplat.errors import UserError
from tests.compare.made_runs import make_run


def test_folders_of_runs_globs_and_lists(tmp_path):
    a, b = make_run(tmp_path / "sweep" / "0"), make_run(tmp_path / "sweep" / "deep" / "1")
    c = make_run(tmp_path / "other")
    (tmp_path / "sweep" / "unfinished").mkdir()
    (tmp_path / "sweep" / "unfinished" / "config.yaml").touch()
    found, left_out = find_runs([str(tmp_path / "sweep")])
    assert found == [a, b]
    assert left_out == [f"{tmp_path / 'sweep' / 'unfinished'}: it is not finished (no metrics.json)"]
    assert find_runs([str(c), str(tmp_path / "sweep" / "*"), str(a)])[0] == [c, a, b]
    assert run_names([a, b]) == ["0", "deep/1"] and run_names([a, c]) == ["sweep/0", "other"]
    assert run_names([c]) == ["other"]


def test_commas_inside_names_that_exist_stay(tmp_path):
    comma = make_run(tmp_path / "seed=0,model=x")
    other = make_run(tmp_path / "b")
    assert split_runs(f"{comma},{other}") == [str(comma), str(other)]
    assert split_runs(f"[{other}, nowhere]") == [str(other), "nowhere"]
    assert split_runs("") == []


def test_what_is_no_run_is_said(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        find_runs([str(tmp_path / "nowhere*")])
    (tmp_path / "config.yaml").touch()
    with pytest.raises(UserError, match="no finished run"):
        find_runs([str(tmp_path)])


def test_measured_videos_of_other_projects_are_runs_only_where_they_are_named(tmp_path):
    run, video = make_run(tmp_path / "a"), make_run(tmp_path / "compare" / "foreign" / "Wav2Lip")
    assert find_runs([str(tmp_path)])[0] == [run]
    assert find_runs([str(tmp_path), str(video)])[0] == [run, video]
