"""`metrics.json` as versions wrote it that did not note what their metrics are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from talksplat.compare.columns import columns_of
from talksplat.compare.data import ComparisonData
from talksplat.compare.load.run import read_run
from talksplat.compare.tables.results import run_table, runs_csv
from talksplat.errors import UserError
from tests.compare.made_runs import data_of, make_run, markdown_of, runs_of
from tests.helpers.metrics import metric_definitions

FOLDER = Path(__file__).parent / "older"


def test_columns_texts_and_ranks_are_as_they_were(tmp_path):
    metrics = json.loads((FOLDER / "metrics.json").read_text())
    data = ComparisonData([read_run(make_run(tmp_path / name, metrics=metrics), name) for name in "ab"])
    text = markdown_of(run_table(data, ranked=True)) + "\n" + runs_csv(data).splitlines()[0] + "\n"
    assert text.split()[1:] == (FOLDER / "table.txt").read_text().split()


def test_the_metrics_mean_what_they_meant():
    assert metric_definitions("alex") == json.loads((FOLDER / "metrics.json").read_text())["definitions"]


def test_a_column_is_what_the_run_says_of_its_metric(tmp_path):
    note = {"title": "sharpness", "unit": "", "digits": 1, "direction": "neither"}
    new = {"metrics__metrics": {"sharp": note}, "metrics__mean": {"sharp": 2.345, "psnr": 20.0}}
    data = data_of(tmp_path, {}, new)
    titles = [column.title for column in data.columns.values() if column.metric]
    assert titles[0] == "PSNR" and titles[-2:] == ["lip-gap correlation", "sharpness"]
    sharp = data.columns["sharp"]
    assert sharp.format(sharp.value(data.runs[1])) == "2.3" and not sharp.may_rank(data.runs) and sharp.direction == ""
    assert " 2.3 |" in markdown_of(run_table(data))


def test_lpips_is_called_by_the_net_of_a_run_that_measured_it(tmp_path):
    off = {"metrics__definitions": metric_definitions(None), "metrics__mean__lpips": None, "metrics__metrics": {}}
    note = {"title": "LPIPS (VGG16)", "unit": "", "digits": 4, "direction": "lower"}
    vgg = {"metrics__definitions": metric_definitions("vgg"), "metrics__metrics": {"lpips": note}}
    for number, (changes, title) in enumerate(
        [([off, {}], "LPIPS (AlexNet)"), ([off, vgg], "LPIPS (VGG16)"), ([off, off], "LPIPS (off)")]
    ):
        columns = {
            column.metric: column.title for column in columns_of(runs_of(tmp_path / str(number), *changes)).values()
        }
        assert columns["lpips"] == title


@pytest.mark.parametrize("notes", [[], {"psnr": 3}, {"psnr": {"title": "PSNR"}}])
def test_damaged_notes_are_refused(tmp_path, notes):
    with pytest.raises(UserError, match="no title, digits and direction of each of 'metrics'"):
        read_run(make_run(tmp_path / "run", metrics__metrics=notes), "run")
