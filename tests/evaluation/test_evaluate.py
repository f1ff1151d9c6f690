"""A finished run is measured again, beside what it has."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from talksplat.checkpoint import read_checkpoint
from talksplat.compare.load.groups import seed_groups
from talksplat.compare.load.run import read_run
from talksplat.compare.load.runs import check_comparable
from talksplat.config import compose
from talksplat.errors import UserError
from talksplat.evaluate import main
from talksplat.evaluation import again
from talksplat.evaluation.again import evaluate
from talksplat.evaluation.measure import _audio_of
from talksplat.media.sound import read_audio
from talksplat.rendering.source_clip import check_frames
from talksplat.training.run import train
from tests.helpers.runs import small_config
from tests.helpers.tiny_subject import write_tiny_subject


@pytest.fixture(scope="module")
def run(tiny_subject: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished small run; tests write into its folder `evaluation` alone."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    train(small_config(tiny_subject), folder)
    return folder


def asked(run: Path, *overrides: str):
    return compose("evaluate", [f"run={run}", "lpips_net=null", "speed=0", "device=cpu", *overrides])


def test_the_same_checkpoint_and_frames_give_the_same_numbers(run: Path, tmp_path: Path) -> None:
    before = (run / "metrics.json").read_bytes()
    metrics, out = evaluate(asked(run))
    assert out == run / "evaluation" / "last_test" and (run / "metrics.json").read_bytes() == before
    trained = json.loads(before)
    assert json.loads((out / "metrics.json").read_text()) == metrics
    assert [frame["frame_id"] for frame in metrics["frames"]] == [frame["frame_id"] for frame in trained["frames"]]
    for name in ("psnr", "ssim", "psnr_head", "psnr_composite"):
        assert metrics["mean"][name] == pytest.approx(trained["mean"][name], abs=1e-5)
    assert metrics["size_bytes"] == trained["size_bytes"] and metrics["num_gaussians"] == trained["num_gaussians"]
    assert metrics["checkpoint"]["stage"] == "fine" and metrics["checkpoint"]["step"] == 8
    assert {path.name for path in (out / "test").iterdir()} == {"render.mp4", "grid.png"}
    with pytest.raises(UserError, match="last_test exists already, and nothing is overwritten"):
        evaluate(asked(run))
    read = read_run(out, "again")
    assert read.mean("psnr") == metrics["mean"]["psnr"] and read.seed == 0


def test_a_subject_whose_name_looks_like_an_interpolation(tiny_subject: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(tiny_subject, tmp_path / "${oc.env:HOME} (1)"))
    train(small_config(root, "dataset.roots=null"), tmp_path / "run")
    metrics, out = evaluate(asked(tmp_path / "run", "frames=1"))
    assert metrics["subject"] == root.name and read_run(out, "again").subject_root == root


def test_training_frames_some_of_them(run: Path) -> None:
    metrics, out = evaluate(asked(run, "split=train", "frames=3", f"out={run / 'evaluation' / 'few'}"))
    train_ids = read_checkpoint(run)["talksplat"]["subject"]
    known = train_ids["frame_ids"][train_ids["train"]].tolist()
    ids = [frame["frame_id"] for frame in metrics["frames"]]
    assert out.name == "few" and len(ids) == 3 and ids[0] == known[0] and ids[-1] == known[-1]
    every, _ = evaluate(asked(run, "split=all"))
    assert len(every["frames"]) == 22


def test_an_earlier_checkpoint(run: Path) -> None:
    coarse = run / "stages" / "01_coarse" / "last.ckpt"
    metrics, out = evaluate(asked(coarse))
    assert out == run / "evaluation" / "01_coarse_last_test" and metrics["checkpoint"]["stage"] == "coarse"
    again, _ = evaluate(asked(run, f"out={run / 'evaluation' / 'same'}"))
    groups = seed_groups([read_run(folder, folder.name) for folder in (run, out, run / "evaluation" / "same")])
    assert [[one.name for one in group.runs + group.repeated] for group in groups] == [["run", "same"], [out.name]]
    assert metrics["mean"]["psnr"] != json.loads((run / "metrics.json").read_text())["mean"]["psnr"]


def test_another_subject(run: Path, tmp_path: Path) -> None:
    other = write_tiny_subject(tmp_path / "other, one", seed=5)
    metrics, out = evaluate(asked(run, f"subject='{other}'"))
    assert out.name == "last_test_other, one" and metrics["subject"] == "other, one"
    info = json.loads((out / "run_info.json").read_text())
    assert info["subject"]["root"] == str(other) and info["seed"] == 0 and info["timings"]
    assert metrics["mean"]["psnr"] < json.loads((run / "metrics.json").read_text())["mean"]["psnr"]


def test_fitted_poses_and_speed(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / "out"
    main([f"run={run}", "lpips_net=null", "speed=3", "device=cpu", "frames=1", "align_steps=2", f"out={out}"])
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["aligned"]["psnr_composite"] >= metrics["mean"]["psnr_composite"] - 1e-4
    assert metrics["speed"]["device"] == "cpu" and metrics["speed"]["batch_1_frames"] == 3
    assert metrics["speed"]["batch_16_frames"] == 16 and metrics["speed"]["batch_16"] > 0
    printed = capsys.readouterr().out
    assert "held-out" in printed and "training" not in printed.split("psnr")[1]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["split=test2"], "split=test2: choose one of test, val, train, all"),
        (["frames=0"], "frames=0 must be at least 1"),
        (["batch_size=0"], "batch_size=0 must be at least 1"),
        (["subject=nowhere"], "no subject folder nowhere"),
        (["device=tpu"], "device=tpu must be"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_made(run: Path, tmp_path: Path, overrides, message) -> None:
    with pytest.raises(UserError, match=message):
        evaluate(asked(run, f"out={tmp_path / 'out'}", *overrides))
    assert not (tmp_path / "out").exists()


def test_no_such_run_and_no_place_for_results(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such checkpoint"):
        evaluate(asked(tmp_path / "nothing"))
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot make .*give another out=FOLDER"):
        evaluate(asked(run, f"out={tmp_path / 'file' / 'out'}"))


def test_features_of_another_model(run: Path) -> None:
    checkpoint = read_checkpoint(run)
    data = type("Data", (), {"subject": type("S", (), {"audio_fingerprint": np.zeros(8), "root": "there"})})
    checkpoint["talksplat"]["subject"]["audio_fingerprint"] = torch.ones(8)
    with pytest.raises(UserError, match="features of another model"):
        again.check_features(data, checkpoint["talksplat"]["subject"], "mel")


def test_a_failure_leaves_nothing(run: Path, tmp_path: Path, monkeypatch) -> None:
    def fail(*_):
        raise UserError("no")

    monkeypatch.setattr(again, "info_of", fail)
    with pytest.raises(UserError, match="^no$"):
        evaluate(asked(run, f"out={tmp_path / 'out'}"))
    assert not (tmp_path / "out").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "keep.txt").touch()
    for out in ("gone/../mine", "mine"):
        with pytest.raises(UserError, match="mine exists already"):
            evaluate(asked(run, f"out={tmp_path / out}"))
    with pytest.raises(UserError, match="cannot be used"):
        evaluate(asked(run, f"out={tmp_path / ('x' * 300)}"))
    assert (tmp_path / "mine" / "keep.txt").exists()


def test_sound_stays_with_its_frames(tiny_subject: Path) -> None:
    samples = read_audio(tiny_subject / "aud.wav")
    subject = type("S", (), {"root": tiny_subject, "fps": 25.0, "frame_ids": np.array([2, 3, 4, 8, 9])})
    found = _audio_of(type("Data", (), {"subject": subject}), np.arange(5))
    np.testing.assert_array_equal(found, np.concatenate([samples[1280:3200], samples[5120:6400]]))


def test_moved_data_are_known_again_and_other_data_are_not(run: Path, tiny_subject: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(tiny_subject, tmp_path / "other name")
    metrics, out = evaluate(asked(run, f"subject='{moved}'", f"out={tmp_path / 'moved'}"))
    assert metrics["identity"] == json.loads((run / "metrics.json").read_text())["identity"]
    check_comparable([read_run(run, "run"), read_run(out, "moved")])
    other = write_tiny_subject(tmp_path / "tiny", seed=5)
    _, out = evaluate(asked(run, f"subject={other}", f"out={tmp_path / 'other'}"))
    with pytest.raises(UserError, match="hash of the original images is"):
        check_comparable([read_run(run, "run"), read_run(out, "other")])
    entry = read_checkpoint(run)["talksplat"]["subject"]
    check_frames(moved, entry)
    with pytest.raises(UserError, match="are not those of the clip"):
        check_frames(other, entry)
    checkpoint = torch.load(run / "last.ckpt", weights_only=True)
    checkpoint["talksplat"]["subject"]["root"] = str(tmp_path / "gone")
    torch.save(checkpoint, tmp_path / "gone.ckpt")
    with pytest.raises(UserError, match="the subject folder .*gone is not there any more: give subject=FOLDER"):
        evaluate(asked(tmp_path / "gone.ckpt", f"out={tmp_path / 'none'}"))
