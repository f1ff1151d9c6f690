"""Run folders that a comparison cannot use."""

from __future__ import annotations

import json

import pytest
import yaml

from talksplat.compare.data import ComparisonData
from talksplat.compare.load.run import parse_yaml
from talksplat.compare.load.runs import read_runs
from talksplat.compare.report.write import compare_runs
from talksplat.errors import UserError
from tests.compare.made_runs import make_run
from tests.helpers.metrics import metric_definitions


def damaged(run, file, text):
    (run / file).write_text(text)
    return run


def older(run, key):
    metrics = json.loads((run / "metrics.json").read_text())
    del metrics[key]
    return damaged(run, "metrics.json", json.dumps(metrics))


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda run: damaged(run, "metrics.json", '{"split": "va'), "metrics.json: it is cut off or damaged"),
        (lambda run: damaged(run, "config.yaml", "model: {a: [1"), "config.yaml: it is cut off or damaged"),
        (lambda run: damaged(run, "run_info.json", '{"seed": 0,'), "run_info.json: it is cut off or damaged"),
        (lambda run: damaged(run, "metrics.json", "[]"), "does not hold what a run writes there"),
        (lambda run: older(run, "definitions"), r"has no 'definitions': another version .*0\.0\.9, this is"),
        (lambda run: damaged(run, "metrics.json", '{"split": 3}'), "has a int as 'split', not a str: another version"),
        (lambda run: (run / "metrics.json").unlink(), "it is not finished"),
    ],
)
def test_a_run_that_cannot_be_used_is_left_out_unless_it_is_the_only_one(tmp_path, spoil, message):
    spoil(make_run(tmp_path / "bad", info__talksplat="0.0.9"))
    with pytest.raises(UserError, match=message if "not finished" not in message else "no finished run"):
        read_runs([str(tmp_path)])
    make_run(tmp_path / "good")
    runs, left_out = read_runs([str(tmp_path)])
    assert [run.name for run in runs] == ["good"] and len(left_out) == 1
    with pytest.raises(UserError, match=message):
        raise UserError(left_out[0])


def test_the_page_names_what_was_left_out(tmp_path):
    make_run(tmp_path / "sweep" / "good")
    damaged(make_run(tmp_path / "sweep" / "torn"), "metrics.json", "{")
    (tmp_path / "sweep" / "status.csv").write_text(
        "job,state,seconds,error\n0,done,3,\n1,failed,2,UserError: no such file\n2,running,,\n"
    )
    compare_runs([str(tmp_path / "sweep" / "*")], tmp_path / "out", video=False)
    page = (tmp_path / "out" / "comparison.md").read_text()
    assert "torn: cannot read" in page and "# Comparison of 1 run\n" in page
    assert "job 1 of sweep: failed (UserError: no such file)" in page and "job 2 of sweep: running" in page
    assert "job 0" not in page


def test_a_status_file_of_another_kind_is_said_to_be_one(tmp_path):
    make_run(tmp_path / "good")
    (tmp_path / "status.csv").write_text("a,b\n1,2\n")
    assert "has no columns job and state" in read_runs([str(tmp_path)])[1][0]


def test_a_run_whose_metrics_mean_something_else_in_another_version_is_left_out(tmp_path):
    for name in ("a", "b"):
        make_run(tmp_path / name, info__git={"commit": "1111111aaaa"})
    changed = metric_definitions("alex") | {"psnr": "of something else"}
    make_run(tmp_path / "c", info__git={"commit": "2222222bbbb"}, metrics__definitions=changed)
    runs, left_out = read_runs([str(tmp_path)])
    assert [run.name for run in runs] == ["a", "b"]
    assert left_out[0].startswith("c: another version measured it (commit 2222222): psnr has another meaning")


def test_two_meanings_of_one_version_are_left_for_the_user_to_decide(tmp_path):
    for name, net in (("a", "alex"), ("b", "vgg")):
        made = metric_definitions(net)
        make_run(tmp_path / name, info__git={"commit": "1111111aaaa"}, metrics__definitions=made)
    assert len(read_runs([str(tmp_path)])[0]) == 2
    with pytest.raises(UserError, match="meaning of lpips"):
        compare_runs([str(tmp_path)], tmp_path / "out", video=False)


@pytest.mark.parametrize(
    "text",
    [
        "seed: 1\nmodel:\n  a: [1, 2]\n  b:\n  - x\nlist:\n- 1\n- c: 2\ntext: 'two\n\n  lines'\nempty: {}\n",
        "a: &shared {x: 1}\nb: *shared\n",
        "# remark\nseed: 1\n",
        "a: |\n  first\n  second\nb: null\n",
        "[1, 2]",
        "",
    ],
)
def test_yaml_read_in_parts_is_what_it_is_as_a_whole(text):
    assert parse_yaml(text) == yaml.safe_load(text)


def hashes(**changes):
    return {"frames": "f1", "masks": "m1", "poses": "p1", "audio": "a1", **changes}


def test_runs_of_one_clip_compare_whatever_it_is_called(tmp_path):
    made = {
        "a": {"metrics__subject": "clip", "metrics__identity": hashes(), "config__dataset": {"root": "data/clip"}},
        "b": {"metrics__subject": "moved", "metrics__identity": hashes(), "config__dataset": {"root": "/mnt/moved"}},
    }
    for seed, (name, changes) in enumerate(made.items()):
        make_run(tmp_path / name, config__seed=seed, info__seed=seed, **changes)
    data = ComparisonData(read_runs([str(tmp_path)])[0])
    assert [group.seeds for group in data.groups] == ["2 (0, 1)"]
    make_run(tmp_path / "c", metrics__identity=hashes(poses="p2"), metrics__subject="clip")
    assert len(ComparisonData(read_runs([str(tmp_path)])[0]).groups) == 2  # no third seed of the same


@pytest.mark.parametrize(
    ("there", "here", "message"),
    [
        (hashes(), hashes(frames="f2"), "hash of the original images is f1... in the first and f2... in the second"),
        (hashes(), hashes(masks="m2"), "hash of masks and backgrounds is m1"),
        (hashes(), None, "subject is 'clip' in the first and 'other'"),  # of an older version: by its name
    ],
)
def test_two_clips_do_not_compare_whatever_they_are_called(tmp_path, there, here, message):
    make_run(tmp_path / "a", metrics__subject="clip", metrics__identity=there)
    make_run(tmp_path / "b", metrics__subject="clip" if here else "other", metrics__identity=here)
    with pytest.raises(UserError, match=message):
        ComparisonData(read_runs([str(tmp_path)])[0])


def test_people_of_a_run_are_told_by_their_frames(tmp_path):
    frames = [{"frame_id": i} for i in range(3)]
    for name, people in {"a": ("anna", "ben"), "b": ("p1", "p2")}.items():
        subjects = {person: {"frames": frames[: 2 + k]} for k, person in enumerate(people)}
        make_run(tmp_path / name, metrics__subject=name, metrics__subjects=subjects, metrics__identity=hashes())
    assert len(ComparisonData(read_runs([str(tmp_path)])[0]).runs) == 2
