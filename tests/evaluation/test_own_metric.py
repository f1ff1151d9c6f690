"""A metric is added by one file and one line, and is seen everywhere."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
import yaml

from talksplat.compare.report.write import compare_runs
from talksplat.config import compose
from talksplat.errors import UserError
from talksplat.evaluate import main
from talksplat.rendering.run import render
from talksplat.training.run import train
from tests.helpers.runs import small_config

LINE = "evaluation.metrics.redness._target_=tests.evaluation.redness.Redness"
SHORT = ["stage.stages.coarse.steps=1", "stage.stages.coarse.density=null", "stage.stages.fine.steps=1"]


@pytest.fixture(scope="module")
def run(tiny_subject: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two steps that was told of the metric."""
    folder = tmp_path_factory.mktemp("own") / "run"
    train(small_config(tiny_subject, *SHORT, f"+{LINE}"), folder)
    return folder


def means(path: Path) -> dict:
    return json.loads(path.read_text())["mean"]


def test_a_metric_of_ones_own_is_seen_everywhere(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    expected = metrics["mean"]["redness"]
    assert 0 < expected < 100 and metrics["frames"][0]["redness"] > 0 and metrics["train"]["mean"]["redness"] > 0
    assert metrics["definitions"]["redness"] == "mean of the red channel in percent"
    assert metrics["metrics"]["redness"] == {"title": "redness (%)", "unit": "%", "direction": "lower", "digits": 1}

    main([f"run={run}", "metrics=[redness,psnr]", "speed=0", "device=cpu", "trust=[tests]"])
    assert means(run / "evaluation" / "last_test" / "metrics.json").keys() == {"psnr", "redness"}
    assert f"{expected:.3f}" in capsys.readouterr().out

    wanted = [f"checkpoint={run}/last.ckpt", "split=test", f"output={tmp_path}/a.mp4", "device=cpu", "lpips_net=null"]
    wanted.append("trust=[tests]")
    report = render(compose("render", wanted))
    assert report.metrics["mean"]["redness"] == pytest.approx(expected, abs=1e-3)
    assert means(tmp_path / "a.metrics.json") == report.metrics["mean"]

    out = tmp_path / "compared"
    compare_runs([str(run)], out, video=False)
    assert float(list(csv.DictReader((out / "comparison.csv").open()))[0]["redness"]) == expected
    page = (out / "comparison.md").read_text()
    assert "| lip-gap correlation | redness (%) |" in page and f" {expected:.1f} |" in page
    assert "redness: mean of the red channel in percent" in page


def test_runs_from_before_are_measured_by_it_and_stay_in_their_group(run: Path, tiny_subject: Path, tmp_path: Path):
    before = tmp_path / "before"
    train(small_config(tiny_subject, *SHORT), before)
    main([f"run={before}", f"+{LINE}", "lpips_net=null", "speed=0", "device=cpu", f"out={tmp_path / 'again'}"])
    assert means(tmp_path / "again" / "metrics.json")["redness"] == means(run / "metrics.json")["redness"]
    done = compare_runs([str(run), str(before), str(tmp_path / "again")], tmp_path / "out", video=False)
    assert len(done.groups) == 1 and len(done.groups[0].repeated) == 2
    config = yaml.safe_load((before / "config.yaml").read_text())
    del config["evaluation"]["metrics"]  # as an older version wrote it
    (before / "config.yaml").write_text(yaml.safe_dump(config))
    assert len(compare_runs([str(run), str(before)], tmp_path / "old", video=False).groups) == 1


def test_unknown_metrics_are_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        main([f"run={run}", "metrics=[blueness]", "device=cpu", f"out={tmp_path / 'no'}"])
    assert not (tmp_path / "no").exists()


def test_a_wrong_line_is_found_before_training(tiny_subject: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=re.escape("evaluation.metrics.mine: a Linear is no metric")):
        node = "{_target_: torch.nn.Linear, in_features: 1, out_features: 1}"
        train(small_config(tiny_subject, f"+evaluation.metrics.mine={node}"), tmp_path / "run")
    assert not (tmp_path / "run").exists()
