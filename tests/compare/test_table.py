from __future__ import annotations

import csv
import io

import pytest
from rich.console import Console

from talksplat.compare.__main__ import rich_table
from talksplat.compare.data import ComparisonData
from talksplat.compare.load.runs import check_comparable
from talksplat.compare.tables.results import run_table, runs_csv
from talksplat.errors import UserError
from tests.compare.made_runs import chosen, data_of, markdown_of, runs_of
from tests.helpers.metrics import metric_definitions


def cells(table, title):
    return [row[table.titles.index(title)] for row in table.rows]


def test_values_best_ones_and_footnotes(tmp_path):
    data = data_of(
        tmp_path,
        {},
        {"metrics__mean__psnr": 21.0, "metrics__mean__lpips": 0.2, "info__timings": {"fine": 20.0}},
        {"metrics__mean__psnr": None, "metrics__reasons": {"psnr": "broken"}},
    )
    table = run_table(data)
    assert [cell.text for cell in cells(table, "PSNR")] == ["20.00", "21.00", "n/a"]
    assert [cell.mark == "best" for cell in cells(table, "PSNR")] == [False, True, False]
    assert [cell.mark == "best" for cell in cells(table, "LPIPS (AlexNet)")] == [True, False, True], (
        "less is better, ties share"
    )
    assert [cell.text for cell in cells(table, "training (s)")] == ["40", "20", "40"]
    assert [cell.mark == "best" for cell in cells(table, "training (s)")] == [False, True, False]
    assert [cell.text for cell in cells(table, "model")] == ["GaussianTalker"] * 3
    assert [cell.text for cell in cells(table, "stage")] == ["quick"] * 3
    assert [cell.mark for cell in cells(table, "PSNR")] == ["second", "best", None]
    text = markdown_of(table)
    note = cells(table, "PSNR")[2].note
    assert (
        f"[{note}] PSNR: broken" in text and f"n/a [{note}]" in text and "**21.00**" in text and "<u>20.00</u>" in text
    )
    assert "mouth correlation: no truth for this clip" in text
    assert text.count("no truth for this clip") == 1, "equal reasons share a footnote"
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(rich_table(table))
    printed = console.export_text()
    assert "GaussianTalker" in printed and "broken" in printed


def test_times_on_different_machines_are_not_ranked(tmp_path):
    data = data_of(tmp_path, {}, {"info__host": "there", "metrics__fps": 500.0})
    assert not any(cell.mark == "best" for cell in cells(run_table(data), "FPS"))


def test_csv_has_full_precision_and_empty_cells(tmp_path):
    data = data_of(tmp_path, {"metrics__mean__psnr": 20.123456789}, {"metrics__mean__lmd": None})
    rows = list(csv.DictReader(io.StringIO(runs_csv(data))))
    assert rows[0]["psnr"] == "20.123456789" and rows[1]["lmd"] == "" and rows[0]["training"] == "40.5"
    assert rows[1]["path"] == str(tmp_path / "r1")


@pytest.mark.parametrize(
    "change, what",
    [
        ({"metrics__subject": "someone else"}, "subject is 'someone' in the first and 'someone else'"),
        ({"metrics__split": "train"}, "split"),
        ({"metrics__resolution": [128, 128]}, "resolution"),
        ({"metrics__frames": [{"frame_id": 3}]}, "4 frames, 20 to 25"),
        ({"metrics__definitions": metric_definitions("vgg")}, "meaning of lpips.*AlexNet.*VGG16"),
        ({"info__subject": {"head_masks": "alpha"}}, "head masks is 'parsing' in the first and 'alpha' in the second"),
        (
            {"metrics__aligned": {"psnr_composite": 30.0, "steps": 9}},
            "align_steps is 5 in the first and 9 in the second",
        ),
    ],
)
def test_runs_that_do_not_compare_are_refused(tmp_path, change, what):
    noted = {"info__subject": {"head_masks": "parsing"}, "metrics__aligned": {"psnr_composite": 30.0, "steps": 5}}
    runs = runs_of(tmp_path, {}, {}, noted, change)
    with pytest.raises(UserError, match=what) as caught:
        check_comparable(runs)
    assert "and r3 do not compare" in str(caught.value)
    check_comparable(runs[:3])


def test_the_first_run_need_not_have_measured_what_two_others_disagree_on(tmp_path):
    off = {"metrics__definitions": metric_definitions(None), "metrics__mean__lpips": None}
    runs = runs_of(tmp_path, off, {}, {}, {"metrics__definitions": metric_definitions("vgg")})
    with pytest.raises(UserError, match=r"runs r1 \(with 1 like it\) and r3 do not compare: meaning of lpips"):
        check_comparable(runs)


def test_a_metric_that_was_not_measured_compares_with_anything(tmp_path):
    off = {"metrics__definitions": metric_definitions(None), "metrics__mean__lpips": None}
    data = data_of(tmp_path, off, {})
    check_comparable(data.runs)
    assert "LPIPS (AlexNet)" in run_table(data).titles


def test_parameters_and_size_are_what_training_noted(tmp_path):
    noted = {"metrics__parameters": {"networks": 300, "gaussians": 59}, "metrics__size_bytes": 2_500_000}
    table = run_table(data_of(tmp_path, noted, {}))
    assert [cell.text for cell in cells(table, "network parameters")] == ["300", "n/a"]
    assert [cell.text for cell in cells(table, "parameters")] == ["359", "n/a"]
    assert [cell.text for cell in cells(table, "size (MB)")] == ["2.50", "n/a"]
    assert f"[{cells(table, 'size (MB)')[1].note}] the run did not note it" in markdown_of(table)


def test_experiments_have_a_column_where_there_are_any(tmp_path):
    stacked = {"config__chosen": chosen("egstalker", "demo", "egstalker/no_ppe")}
    plain, old = {"config__chosen": chosen("static")}, {}
    data = data_of(tmp_path, stacked, plain, old)
    assert [cell.text for cell in cells(run_table(data), "experiment")] == ["demo + egstalker/no_ppe", "-", "n/a"]
    assert "experiment" not in run_table(ComparisonData(data.runs[1:])).titles


def test_many_runs_fit_a_terminal_of_100_columns(tmp_path):
    table = run_table(data_of(tmp_path, *({"metrics__mean__psnr": 20.0 + i} for i in range(7))))
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(rich_table(table))
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 100
    rows = [line for line in lines if line.startswith("│ PSNR ")]
    assert "20.00" in rows[0] and "26.00" in rows[-1] and "n/a" not in "".join(rows)


def test_fitted_poses_have_a_column_where_a_run_measured_them(tmp_path):
    title = "composite PSNR, fitted poses"
    data = data_of(tmp_path, {"metrics__aligned": {"psnr_composite": 25.5}}, {})
    assert [cell.text for cell in cells(run_table(data), title)] == ["25.50", "n/a"]
    assert title not in run_table(ComparisonData(data.runs[1:])).titles


def test_training_frames_have_columns_of_their_own_without_a_rank(tmp_path):
    title = "mouth PSNR, training frames"
    data = data_of(tmp_path, {"metrics__train": {"mean": {"psnr_mouth": 31.5}}}, {})
    found = cells(run_table(data), title)
    assert [cell.text for cell in found] == ["31.50", "n/a"] and not any(cell.mark == "best" for cell in found)
    assert title not in run_table(ComparisonData(data.runs[1:])).titles


def test_mean_ranks_follow_the_direction_of_each_metric_and_leave_out_what_some_run_lacks(tmp_path):
    data = data_of(
        tmp_path,
        {"metrics__mean": {"psnr": 20.0, "lpips": 0.1, "lmd": 2.0, "ssim": 0.9}},
        {"metrics__mean": {"psnr": 22.0, "lpips": 0.2, "lmd": 1.0, "ssim": None}},
        {"metrics__mean": {"psnr": 22.001, "lpips": 0.3, "lmd": 3.0, "ssim": 0.8}},
    )
    table = run_table(data, ranked=True)
    # PSNR 3, 1.5, 1.5; LPIPS 1, 2, 3; LMD 2, 1, 3
    assert [cell.text for cell in cells(table, "average rank")] == ["2.00", "1.50", "2.50"]
    assert [cell.mark for cell in cells(table, "average rank")] == ["second", "best", None]
    assert "in PSNR, LPIPS (AlexNet), LMD (px), each counted once" in markdown_of(table)
