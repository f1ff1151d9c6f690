from __future__ import annotations

from talksplat.compare.document import Notes
from tests.compare.made_runs import data_of


def variants(tmp_path, *values: dict):
    changes = ({"config__loss": {"lip": {"weight": i}}, **value} for i, value in enumerate(values))
    return data_of(tmp_path, *changes)


def names(groups) -> list[str]:
    return [group.runs[0].name for group in groups]


def test_of_too_many_the_best_and_the_worst(tmp_path):
    data = variants(tmp_path, *({"metrics__mean__psnr_head": value} for value in (3, 9, 1, None, 5, 7)))
    shown, words = data.pick(data.groups, 3)
    assert names(shown) == ["r1", "r5", "r2"] and words == "the 2 best and 1 worst of 6 groups by head PSNR"
    assert data.pick(data.groups, 6) == (data.groups, "")
    assert names(data.pick(data.groups, 1)[0]) == ["r1"]


def test_ranked_by_what_there_is(tmp_path):
    only = {"metrics__mean": {"lpips": 0.2}}
    data = variants(tmp_path / "a", only, {"metrics__mean": {"lpips": 0.1}}, only)
    assert data.ranking_column(data.groups).key == "lpips" and names(data.pick(data.groups, 1)[0]) == ["r1"]
    data = variants(tmp_path / "b", *[{"metrics__mean": {}}] * 3)
    assert data.ranking_column(data.groups) is None
    assert data.pick(data.groups, 2) == (data.groups[:2], "the first 2 of 3 groups")


def test_a_line_for_each_reason():
    notes = Notes()
    notes.leave_out("a", "left out", "no video")
    for i in range(9):
        notes.leave_out(f"r{i}", "left out", "broken")
    notes.add("that is all")
    notes.add("that is all")
    assert notes.lines == [
        "a is left out: no video",
        "r0, r1, r2, r3, r4, r5 and 3 more are left out: broken",
        "that is all",
    ]
