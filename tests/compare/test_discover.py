from __future__ import annotations

from pathlib import Path

import pytest

from talksplat.compare.load.discover import find_runs, run_names, split_runs
from talksplat.compare.load.run import read_run
from talksplat.compare.load.runs import check_comparable, read_runs
from talksplat.errors import UserError
from tests.compare.made_runs import make_run, seeded


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


def run_of_people(folder: Path, **changes) -> Path:
    """A run over anna and ben, with the measurements of each."""
    about = {"head_masks": "alpha", "subjects": {name: {"root": f"data/{name}"} for name in ("anna", "ben")}}
    run = make_run(
        folder,
        metrics__subject="anna + ben",
        info__subject={**about, "root": "data/anna"},
        config__dataset={"root": "data/anna", "roots": ["data/anna", "data/ben"], "loader": {"root": "data/anna"}},
        **changes,
    )
    for name in about["subjects"]:
        alone = make_run(run / "subjects" / name, metrics__subject=name)
        (alone / "config.yaml").unlink()
        (alone / "run_info.json").unlink()
    return run


def test_a_person_of_a_run_is_a_run(tmp_path):
    run = run_of_people(tmp_path / "both", **seeded(3))
    ben = run / "subjects" / "ben"
    assert find_runs([str(run)])[0] == [run]  # its people are not runs of their own where they lie below
    assert find_runs([str(ben)])[0] == [ben]
    assert find_runs([str(tmp_path / "*" / "subjects" / "b*")])[0] == [ben]
    assert find_runs([str(run / "subjects")])[0] == [run / "subjects" / "anna", ben]
    result = read_run(ben, "ben")
    assert result.metrics["subject"] == "ben" and result.seed == 3 and result.hardware == "2 CPU cores (here)"
    assert result.config["dataset"]["root"] == result.config["dataset"]["loader"]["root"] == "data/ben"
    assert result.info["subject"] == {"root": "data/ben"}
    assert read_run(run, "both").config["dataset"]["root"] == "data/anna"


def test_a_person_compares_with_a_run_of_that_person_alone(tmp_path):
    ben = run_of_people(tmp_path / "both") / "subjects" / "ben"
    alone = make_run(tmp_path / "alone", metrics__subject="ben", metrics__mean__psnr=25.0)
    runs, left_out = read_runs([str(ben), str(alone)])
    check_comparable(runs)
    assert [run.name for run in runs] == ["both/subjects/ben", "alone"] and left_out == []
    with pytest.raises(UserError, match="do not compare: subject is 'ben' in the first and 'anna'"):
        check_comparable(read_runs([str(ben), str(tmp_path / "both" / "subjects" / "anna")])[0])


def test_a_person_that_was_not_measured_yet(tmp_path):
    run = run_of_people(tmp_path / "both")
    (run / "subjects" / "ben" / "metrics.json").unlink()
    with pytest.raises(UserError, match="no finished run"):
        find_runs([str(run / "subjects" / "ben")])
    assert "not finished" in find_runs([str(run / "subjects")])[1][0]
    (run / "subjects" / "anna" / "test").mkdir()
    with pytest.raises(UserError, match="no run in it"):
        find_runs([str(run / "subjects" / "anna" / "test")])
