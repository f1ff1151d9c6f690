"""A run with validation frames, and runs of versions that had none."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from talksplat.compare.report.write import compare_runs
from talksplat.config import compose
from talksplat.config.moved import without_paper_split
from talksplat.errors import UserError
from talksplat.evaluation.again import evaluate
from talksplat.rendering.run import render
from talksplat.sweep.engine import compose_jobs
from talksplat.training.folder import RunFolder
from talksplat.training.run import train
from tests.helpers.runs import small_config, small_overrides
from tests.helpers.tiny_subject import write_tiny_subject

SHORT = ["stage.stages.coarse.steps=1", "stage.stages.coarse.density=null", "stage.stages.fine.steps=2"]
THREE = ["dataset.split=three", "dataset.val_share=0.2", "dataset.val_gap=3"]
AVATARS = Path(__file__).parents[1] / "golden" / "avatars"


@pytest.fixture(scope="module")
def runs(tiny_subject: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("splits")
    train(small_config(tiny_subject, *SHORT, *THREE), folder / "three")
    train(small_config(tiny_subject, *SHORT), folder / "paper")
    return folder


def ids(measured: dict) -> list[int]:
    return [frame["frame_id"] for frame in measured["frames"]]


def asked(run: Path, out: Path, *overrides: str):
    return compose("evaluate", [f"run={run}", f"out={out}", "lpips_net=null", "speed=0", "device=cpu", *overrides])


def test_what_chooses_does_not_see_what_is_reported(runs: Path) -> None:
    metrics = json.loads((runs / "three" / "metrics.json").read_text())
    assert (metrics["split"], metrics["chosen_on"]) == ("test", "val")
    assert (ids(metrics), ids(metrics["val"]), max(ids(metrics["train"]))) == ([20, 21], [16, 17, 18, 19], 12)
    # A preview shows up to four frames: here all validation frames.
    best = json.loads((runs / "three" / "stages" / "02_fine" / "best.json").read_text())
    assert best["step"] == 2
    assert best["val_psnr_composite"] == pytest.approx(metrics["val"]["mean"]["psnr_composite"], abs=1e-3)
    assert abs(best["val_psnr_composite"] - metrics["mean"]["psnr_composite"]) > 1e-2
    paper = json.loads((runs / "paper" / "metrics.json").read_text())
    assert (paper["split"], paper["chosen_on"]) == ("test", "test") and "val" not in paper


def test_every_split_can_be_measured_and_rendered(runs: Path, tmp_path: Path) -> None:
    three = json.loads((runs / "three" / "metrics.json").read_text())
    metrics, _ = evaluate(asked(runs / "three", tmp_path / "val", "split=val"))
    assert metrics["mean"]["psnr"] == pytest.approx(three["val"]["mean"]["psnr"], abs=1e-5)
    assert (metrics["split"], metrics["chosen_on"]) == ("val", "val")
    for split, wanted in (("val", [16, 17, 18, 19]), ("test", [20, 21])):
        made = [f"checkpoint={runs}/three/last.ckpt", f"split={split}", f"output={tmp_path}/{split}.mp4"]
        assert ids(render(compose("render", [*made, "device=cpu", "lpips_net=null"])).metrics) == wanted
    with pytest.raises(UserError, match="the clip has no val frames"):
        made = [f"checkpoint={runs}/paper/last.ckpt", "split=val", f"output={tmp_path}/no.mp4"]
        render(compose("render", [*made, "device=cpu", "lpips_net=null"]))


def test_the_older_name_of_test_frames_works(runs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    metrics, out = evaluate(asked(runs / "paper", tmp_path / "out", "split=val"))
    assert metrics["split"] == "test" and ids(metrics) == [20, 21]
    assert "split=val is now split=test" in caplog.text


@pytest.mark.parametrize("path", sorted(AVATARS.glob("*.ckpt")), ids=lambda path: path.stem)
def test_older_checkpoints_render_their_held_out_frames(path: Path, tiny_subject: Path, tmp_path: Path) -> None:
    made = [f"checkpoint={path}", "split=test", f"output={tmp_path}/a.mp4", f"subject={tiny_subject}", "device=cpu"]
    assert ids(render(compose("render", [*made, "lpips_net=null"])).metrics) == [20, 21]


def test_a_comparison_says_what_chose(runs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    older = tmp_path / "older"
    older.mkdir()
    for name in ("config.yaml", "run_info.json"):
        (older / name).write_bytes((runs / "paper" / name).read_bytes())
    metrics = json.loads((runs / "paper" / "metrics.json").read_text())
    del metrics["chosen_on"]
    (older / "metrics.json").write_text(json.dumps(metrics | {"split": "val"}))
    alike = compare_runs([str(runs / "paper"), str(older)], tmp_path / "alike", video=False)
    page = (tmp_path / "alike" / "comparison.md").read_text()
    assert "split test" in page and "looked at the test frames themselves (dataset.split=paper)." in page
    assert len(alike.groups) == 1
    with caplog.at_level(logging.INFO):
        mixed = compare_runs([str(runs / "paper"), str(runs / "three")], tmp_path / "mixed", video=False)
    page = (tmp_path / "mixed" / "comparison.md").read_text()
    said = "(dataset.split=paper) in paper and validation frames (dataset.split=three) in three"
    assert said in page and said in caplog.text and "ranks between them tell little" in page
    assert len(mixed.groups) == 2


def test_runs_of_versions_without_the_setting_resume(runs: Path, tiny_subject: Path, tmp_path: Path) -> None:
    text = (runs / "paper" / "config.yaml").read_text().splitlines()
    kept = [line for line in text if line.split(":")[0].strip() not in ("split", "val_share", "val_gap")]
    assert len(text) - len(kept) == 6
    (tmp_path / "config.yaml").write_text("\n".join(kept) + "\n")
    config = small_config(tiny_subject, *SHORT, "resume=true")
    RunFolder(tmp_path, config)
    assert without_paper_split({"a": 1, "dataset.loader.split": "paper"}) == {"a": 1}  # measured on another subject
    with pytest.raises(UserError, match="dataset.loader.split was absent and is now"):
        RunFolder(tmp_path, small_config(tiny_subject, *SHORT, *THREE, "resume=true"))


def test_a_short_clip_of_somebody_else_needs_no_validation_frames(runs: Path, tmp_path: Path) -> None:
    other = write_tiny_subject(tmp_path / "short", num_frames=5)
    metrics, _ = evaluate(asked(runs / "three", tmp_path / "out", f"subject={other}"))
    assert ids(metrics) == [4] and metrics["chosen_on"] == "val"
    with pytest.raises(UserError, match="dataset.split=three leaves no training frame"):
        evaluate(asked(runs / "three", tmp_path / "out2", f"subject={other}", "split=val"))


def test_a_sweep_finds_wrong_settings_before_its_first_job(tiny_subject: Path) -> None:
    with pytest.raises(UserError, match="job 1 .*dataset.split=four is unknown"):
        compose_jobs([small_overrides(tiny_subject, f"dataset.split={split}") for split in ("three", "four")])
    mine = "evaluation.metrics.mine._target_=torch.nn.ReLU"
    with pytest.raises(UserError, match="job 1 .*evaluation.metrics.mine: a ReLU is no metric"):
        compose_jobs([small_overrides(tiny_subject), small_overrides(tiny_subject, f"+{mine}")])
