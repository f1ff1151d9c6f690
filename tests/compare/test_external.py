from __future__ import annotations

import os
import shutil

import cv2
import numpy as np
import pytest

from talksplat.compare.external import measure
from talksplat.compare.external.measure import frames_of, places
from talksplat.compare.external.videos import parse_foreign
from talksplat.compare.report.write import compare_runs
from talksplat.data.datamodule import PortraitDataModule
from talksplat.errors import UserError
from talksplat.media.video import read_frames
from talksplat.media.video_writer import VideoWriter
from tests.compare.made_runs import make_run
from tests.helpers.metrics import shipped_suite
from tests.helpers.tiny_subject import AUDIO_FILE, AUDIO_WIDTH, AUDIO_WINDOW

SIZE, COUNT = 48, 22
LOADER = {"audio_files": [AUDIO_FILE], "audio_width": AUDIO_WIDTH, "audio_window": AUDIO_WINDOW}


@pytest.fixture(scope="module")
def data(tiny_subject):
    module = PortraitDataModule(str(tiny_subject), **LOADER)
    module.prepare()
    return module


@pytest.fixture
def run(tmp_path, data):
    """A run that rendered every held-out frame as a copy of the original, and was measured so."""
    suite = shipped_suite(None, tmp_path / "no_assets")
    for batch in data.eval_batches("test", 4, "cpu"):
        suite.update(batch.original, batch)
    made = suite.compute()
    root = str(data.root)
    return make_run(
        tmp_path / "runs" / "ours",
        metrics={"split": "val", "subject": "tiny", "resolution": [SIZE, SIZE], **made},
        config__dataset={"root": root, "loader": {"root": root, **LOADER}},
        config__evaluation={"lpips_net": None},
        config__paths={"assets": str(tmp_path / "no_assets")},
    )


@pytest.fixture(autouse=True)
def no_face_model(monkeypatch):
    def missing(assets):
        raise UserError("no face model in this test")

    monkeypatch.setattr("talksplat.metrics.landmarks.FaceMeasurer", missing)


def held_out(data):
    return data.subject.frame_ids[data.subject.test].tolist()


def originals(data):
    return [cv2.imread(str(data.root / "ori_imgs" / f"{i}.jpg"))[..., ::-1] for i in range(COUNT)]


def write_images(folder, pictures, numbers):
    folder.mkdir()
    for picture, number in zip(pictures, numbers):
        cv2.imwrite(str(folder / f"frame_{number:05d}.png"), np.ascontiguousarray(picture[..., ::-1]))
    return folder


def write_video(path, pictures):
    height, width = pictures[0].shape[:2]
    with VideoWriter(path, width, height, crf=4) as writer:
        for picture in pictures:
            writer.write(np.ascontiguousarray(picture))
    return path


def test_a_video_of_another_project_is_measured_as_the_runs_are_and_only_once(tmp_path, data, run, monkeypatch):
    dimmed = [(picture * 0.9).astype(np.uint8) for picture in originals(data)]
    images = write_images(tmp_path / "images", dimmed, range(COUNT))
    video = write_video(tmp_path / "a,b.mp4", [dimmed[i] for i in held_out(data)])
    out = tmp_path / "out"
    done = compare_runs([str(run)], out, foreign=f"Wav2Lip:{video},The original:{images}")
    ours, lip, exact = done.runs
    assert [one.name for one in done.runs] == ["ours", "Wav2Lip", "The original"]
    expected = [10 * np.log10(1 / np.mean((p / 255 - q / 255) ** 2)) for p, q in zip(originals(data), dimmed)]
    frames = {frame["frame_id"]: frame["psnr"] for frame in exact.metrics["frames"]}
    assert frames == pytest.approx({i: expected[i] for i in held_out(data)}, abs=1e-3)
    assert 0 < exact.mean("psnr") - lip.mean("psnr") < 3, "compression halves the resolution of colours"
    assert ours.mean("psnr") == 100 and lip.metrics["definitions"] == ours.metrics["definitions"]
    folder = out / "foreign" / "The original"
    rendered = list(read_frames(folder / "test" / "render.mp4"))
    assert len(rendered) == len(held_out(data))
    assert np.abs(rendered[1].astype(int) - dimmed[held_out(data)[1]]).mean() < 7  # colours again
    page = (out / "comparison.md").read_text()
    assert "rendered by another project" in page and "tells neither how it was trained nor what it costs" in page
    assert len(list(read_frames(out / "side_by_side.mp4"))) == len(held_out(data))

    def refuse(*arguments):
        raise AssertionError("measured again")

    monkeypatch.setattr(measure, "measure_video", refuse)
    arguments = {"foreign": f"Wav2Lip:{video},The original:{images}", "video": False, "overwrite": True}
    again = compare_runs([str(run)], out, **arguments)
    assert again.runs[2].metrics == exact.metrics
    as_run = compare_runs([str(run), str(folder)], tmp_path / "later", video=False)
    assert as_run.runs[1].mean("psnr") == exact.mean("psnr"), "what was measured is a run folder"
    moved = shutil.copytree(images, tmp_path / "moved")  # with other times: the content counts
    compare_runs([str(run)], out, **{**arguments, "foreign": f"Wav2Lip:{video},The original:{moved}"})
    first, second = sorted(images.iterdir())[:2]
    stat = first.stat()
    first.write_bytes(second.read_bytes())
    os.utime(first, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(AssertionError, match="measured again"):
        compare_runs([str(run)], out, **arguments)


def test_another_size_or_count_is_refused_and_nothing_stays(tmp_path, data, run):
    large = write_video(tmp_path / "large.mp4", [np.zeros((96, 96, 3), np.uint8)] * len(held_out(data)))
    with pytest.raises(UserError, match="is 96x96, but the runs are 48x48: rescale it .*scale=48:48"):
        compare_runs([str(run)], tmp_path / "out", foreign=f"X:{large}")
    short = write_video(tmp_path / "short.mp4", [np.zeros((SIZE, SIZE, 3), np.uint8)] * 7)
    with pytest.raises(UserError, match=r"short.mp4 has 7 frames, but the split has 2 .*and the whole clip 22"):
        compare_runs([str(run)], tmp_path / "out", foreign=f"X:{short}")
    assert not (tmp_path / "out").exists()


def test_a_subject_folder_that_is_gone_is_named(tmp_path, run):
    config = (run / "config.yaml").read_text()
    moved = shutil.copytree(run, tmp_path / "moved")
    (moved / "config.yaml").write_text(config.replace("root: /", f"root: {tmp_path}/gone/"))
    (tmp_path / "x.mp4").touch()
    with pytest.raises(UserError, match="foreign= needs the frames of moved, but its subject folder .*gone"):
        compare_runs([str(moved)], tmp_path / "out", foreign=f"X:{tmp_path / 'x.mp4'}")


def test_which_frames_of_a_video_are_meant(tmp_path):
    ids, clip = [8, 9, 11], [1, 2, 4, 8, 9, 11]
    assert places(3, ids, clip, tmp_path) == [0, 1, 2]
    assert places(6, ids, clip, tmp_path) == [3, 4, 5], "the whole subject"
    assert places(12, ids, clip, tmp_path) == ids, "the whole video, with frames that the subject left out"
    with pytest.raises(UserError, match="has 5 frames"):
        places(5, ids, clip, tmp_path)


def test_images_are_found_by_their_number(tmp_path):
    pictures = [np.full((SIZE, SIZE, 3), 10 * i, np.uint8) for i in range(12)]

    def found(name, numbers, shown=None):
        folder = write_images(tmp_path / name, [pictures[i] for i in shown or numbers], numbers)
        ids, clip = [8, 9, 11], list(range(12))
        return [int(picture[0, 0, 0]) // 10 for picture in frames_of(folder, ids, clip, SIZE, SIZE)]

    assert found("by number", [3, 8, 9, 10, 11]) == [8, 9, 11]
    assert found("in order", [0, 1, 2], shown=[8, 9, 11]) == [8, 9, 11]
    assert found("whole clip from one", range(1, 13), shown=range(12)) == [8, 9, 11]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="has no images"):
        list(frames_of(tmp_path / "empty", [1], [1], SIZE, SIZE))
    cv2.imwrite(str(tmp_path / "empty" / "face.png"), pictures[0])
    with pytest.raises(UserError, match="face.png has no number"):
        list(frames_of(tmp_path / "empty", [1], [1], SIZE, SIZE))


def test_names_and_paths(tmp_path):
    comma = tmp_path / "a,b:c.mp4"
    comma.touch()
    assert parse_foreign(f"Wav2Lip:{comma},The original:{tmp_path}") == {"Wav2Lip": comma, "The original": tmp_path}
    assert parse_foreign(None) == {}
    for text, message in ((f"a/b:{tmp_path}", "no name for a folder"), (f"a:{tmp_path},a:{tmp_path}", "given twice")):
        with pytest.raises(UserError, match=message):
            parse_foreign(text)
