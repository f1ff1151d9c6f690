from __future__ import annotations

import shutil
import sys

import pytest

from talksplat import demo
from talksplat.errors import Interrupted, UserError
from tests.compare.made_runs import chosen, make_run

MODELS = ("gaussiantalker", "static")


@pytest.fixture
def work(monkeypatch, tmp_path):
    """The demo with training and rendering written down instead of done; `stop_in` names a model that is killed."""
    done = {"trained": [], "rendered": [], "stop_in": None}

    def train(config, run_dir):
        model = config.chosen.groups.model
        done["trained"].append((model, config.resume, run_dir.name))
        if model == done["stop_in"]:
            run_dir.mkdir(parents=True)
            (run_dir / "config.yaml").touch()
            raise UserError("interrupted")
        shutil.rmtree(run_dir, ignore_errors=True)
        make_run(run_dir, config__chosen=chosen(model, *config.chosen.experiments))
        return {}

    monkeypatch.setattr(demo, "MODELS", MODELS)
    monkeypatch.setattr(demo, "train", train)
    monkeypatch.setattr(demo, "print_metrics", lambda metrics, run_dir: None)
    monkeypatch.setattr(demo, "render", lambda config: done["rendered"].append(str(config.checkpoint)))
    return done


def test_it_trains_each_model_and_compares_them(work, tmp_path, capsys):
    demo.run_demo(tmp_path)
    assert work["trained"] == [(model, False, model) for model in MODELS]
    assert work["rendered"] == [str(tmp_path / "gaussiantalker" / "last.ckpt")]
    text = (tmp_path / "comparison.md").read_text()
    assert "Comparison of 2 runs" in text and all(f"| {model} |" in text for model in MODELS)
    printed = capsys.readouterr().out
    assert "model 2 of 2: static" in printed and "new speech by gaussiantalker" in printed


def test_killed_it_goes_on_where_it_stopped(work, tmp_path):
    work["stop_in"] = "static"
    with pytest.raises(UserError, match="interrupted"):
        demo.run_demo(tmp_path)
    assert not work["rendered"] and not (tmp_path / "comparison.md").exists()
    work["stop_in"], work["trained"] = None, []
    demo.run_demo(tmp_path)
    assert work["trained"] == [("static", True, "static")]
    demo.run_demo(tmp_path)
    assert len(work["trained"]) == 1 and len(work["rendered"]) == 2, "what is finished is kept"


@pytest.mark.parametrize("made", [True, False])
def test_one_who_stops_it_is_told_the_demos_own_command(made, work, tmp_path, monkeypatch, capsys):
    def stopped(config, run_dir):
        raise Interrupted("interrupted in stage fine at step 3; resume with: python train.py")

    monkeypatch.setattr(demo, "train", stopped)
    monkeypatch.setenv("MAKELEVEL", "1") if made else monkeypatch.delenv("MAKELEVEL", raising=False)
    monkeypatch.setattr(sys, "argv", ["demo.py", f"out={tmp_path}/a b"])
    with pytest.raises(SystemExit):
        demo.main()
    again = f"make demo 'DEMO={tmp_path}/a b'" if made else f"python -m talksplat.demo 'out={tmp_path}/a b'"
    assert capsys.readouterr().err == f"error: interrupted in stage fine at step 3; resume with: {again}\n"
