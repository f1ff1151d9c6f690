from __future__ import annotations

import sys

import cv2
import numpy as np
import pytest

from talksplat.compare.__main__ import main
from talksplat.media.video import read_frames
from tests.compare.made_runs import FRAMES, SIZE, add_video, make_run, seeded


def call(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["compare", *map(str, arguments)])
    main()


def test_the_command_writes_table_plots_and_video(monkeypatch, tmp_path, capsys):
    subject = tmp_path / "subject" / "ori_imgs"
    subject.mkdir(parents=True)
    for frame_id in FRAMES:
        cv2.imwrite(str(subject / f"{frame_id}.jpg"), np.full((SIZE, SIZE, 3), 10, np.uint8))
    dataset = {"config__dataset": {"root": str(subject.parent)}}
    first = make_run(tmp_path / "runs" / "seed=0,x y", **dataset)
    second = make_run(tmp_path / "runs" / "b", metrics__mean__psnr=23.0, config__loss={"l1": 1}, **dataset)
    make_run(tmp_path / "runs" / "c", config__loss={"l1": 2}, **dataset)
    add_video(first, 120)
    add_video(second, 240)
    out = tmp_path / "out"
    call(monkeypatch, f"runs={first},{second},{tmp_path / 'runs' / 'c'}", f"out={out}")
    printed = capsys.readouterr().out
    assert "23.00" in printed and "seed=0,x y" in printed
    names = {"comparison.md", "comparison.csv", "differences.csv", "table.tex"}
    names |= {"per_frame.png", "metrics.png", "quality_and_speed.png", "worst_frames.jpg"}
    names |= {"side_by_side.mp4", "comparison.html"}
    assert {path.name for path in out.iterdir()} == names
    text = (out / "comparison.md").read_text()
    assert "**23.00**" in text and "split test, 4 frames of 64x64" in text
    assert "loss.l1=2" in text and " is not in side_by_side.mp4: no test/render.mp4" in text
    page = (out / "comparison.html").read_text()
    assert "23.00" in page and page.count("data:image/") == 5 and "data:video/mp4" in page
    frames = list(read_frames(out / "side_by_side.mp4"))
    assert len(frames) == len(FRAMES)
    columns = [frames[1][SIZE // 2 : SIZE, k * SIZE + 8 : (k + 1) * SIZE - 8].mean() for k in range(3)]
    assert columns == pytest.approx([10, 120, 240], abs=6)
    with pytest.raises(SystemExit):
        call(monkeypatch, f"runs={first}", f"out={out}")
    assert "overwrite=true" in capsys.readouterr().err
    call(monkeypatch, f"runs={first}", f"out={out}", "overwrite=true", "video=false")
    assert "Comparison of 1 run\n" in (out / "comparison.md").read_text()


def test_seeds_and_published_tables(monkeypatch, tmp_path, capsys):
    for seed in (0, 2):
        make_run(tmp_path / "runs" / str(seed), **seeded(seed, metrics__mean__psnr=20.0 + seed))
    out = tmp_path / "out"
    call(monkeypatch, f"runs={tmp_path / 'runs'}", f"out={out}", "published=egstalker_t3, egstalker_t4")
    printed, written = capsys.readouterr().out, (out / "comparison.md").read_text()
    for text in (printed, written):
        assert "21.00 ± 1.41" in text and "(T3)" in text and "(T4)" in text and "36.415" in text
    assert (out / "seeds.csv").read_text().startswith("group,runs,seeds,")
    assert "## Over seeds" in written


def test_without_videos_there_is_a_note(monkeypatch, tmp_path):
    run = make_run(tmp_path / "a")
    call(monkeypatch, f"runs={run}", f"out={tmp_path / 'out'}")
    assert not (tmp_path / "out" / "side_by_side.mp4").exists()
    assert "no video: no run has test/render.mp4" in (tmp_path / "out" / "comparison.md").read_text()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "missing setting runs"),
        (["outputs"], "is no setting"),
        (["runs=/nowhere/at/all"], "no such folder"),
        (["runs=", "out=x"], "give run folders"),
        (["runs=a", "metric=psnr"], "metric"),
        (["runs=a", "foreign=x.mp4"], "write NAME:VIDEO"),
        (["runs=a", "foreign=X:nowhere.mp4"], "there is no nowhere.mp4"),
        (["runs=a", "published=egstalker_t9"], "choose of auto, d3talker"),
    ],
)
def test_mistakes_are_one_line(monkeypatch, tmp_path, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        call(monkeypatch, *arguments)
    error = capsys.readouterr().err
    assert caught.value.code == 2 and message in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir()), "nothing is written"
