"""The folder of each project of the lineage is read as it is, and trains."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from talksplat.data.datamodule import PortraitDataModule
from talksplat.data.head_cloud import with_head_cloud
from talksplat.errors import UserError
from talksplat.geometry.cameras import project
from talksplat.subject_format.subject import load_frame, read_subject
from talksplat.training.run import train
from tests.helpers.foreign_layouts import LAYOUTS
from tests.helpers.runs import small_config
from tests.helpers.tiny_subject import RADII, write_tiny_subject

QUICK = (
    "stage.stages.coarse.steps=1",
    "stage.stages.coarse.density=null",
    "stage.stages.fine.steps=1",
    "evaluation.train_frames=1",
    "trainer.preview_every=100",
)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve frames; read only."""
    return write_tiny_subject(tmp_path_factory.mktemp("subjects") / "tiny", num_frames=12)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_projects_folder_trains(source: Path, tmp_path: Path, name: str):
    layout = LAYOUTS[name]
    root = tmp_path / name
    layout.write(source, root)
    metrics = train(small_config(root, *layout.audio, *QUICK), tmp_path / "run")
    assert np.isfinite(metrics["mean"]["psnr"])
    described = json.loads((tmp_path / "run" / "run_info.json").read_text())["subject"]
    assert described["num_train"] == 10 and described["num_test"] == 2
    for words in ("no manifest.json", *layout.notes):
        assert any(words in note for note in described["notes"]), (words, described["notes"])
    expected = 1 + len(layout.notes) + ("were carved from the head masks" in layout.notes)
    expected += any("0 (a face at rest) in every frame" in note for note in described["notes"])
    assert len(described["notes"]) == expected, described["notes"]  # nothing else was found odd


def read(root: Path, name: str = "gaussiantalker"):
    audio = dict(setting.removeprefix("audio.").split("=") for setting in LAYOUTS[name].audio)
    return read_subject(root, [audio["files"].strip("[]")], int(audio["width"]), int(audio["window"]))


@pytest.fixture
def foreign(source: Path, tmp_path: Path) -> Path:
    LAYOUTS["gaussiantalker"].write(source, tmp_path / "foreign")
    return tmp_path / "foreign"


def has_note(subject, words: str) -> bool:
    return any(words in note for note in subject.notes)


@pytest.fixture(scope="module")
def own_viewmats(source: Path) -> np.ndarray:
    return read_subject(source, ["aud_mel.npy"], 8, 16).viewmats


def test_synctalks_poses_are_those_of_the_transforms_files(source: Path, own_viewmats: np.ndarray, tmp_path: Path):
    LAYOUTS["synctalk"].write(source, tmp_path / "s")
    np.testing.assert_allclose(read(tmp_path / "s", "synctalk").viewmats, own_viewmats, atol=1e-4)
    (tmp_path / "s" / "aud_ave.npy").rename(tmp_path / "s" / "aud_other.npy")
    (tmp_path / "s" / "bs.npy").unlink()
    plain = read_subject(tmp_path / "s", ["aud_other.npy"], 512, 1)  # nothing tells SyncTalk: the track counts
    assert has_note(plain, "the former are used") and np.abs(plain.viewmats - own_viewmats)[:, :3, :3].max() > 0.01
    np.testing.assert_allclose(plain.viewmats[:, :3, 3], own_viewmats[:, :3, 3], atol=1e-4)


@pytest.mark.parametrize("factor", [1, 10])
def test_poses_from_transforms_files_alone(foreign: Path, own_viewmats: np.ndarray, factor: int):
    (foreign / "track_params.pt").unlink()
    for path in foreign.glob("transforms_*.json"):
        content = json.loads(path.read_text())
        for frame in content["frames"]:
            for row in frame["transform_matrix"][:3]:
                row[3] *= factor
        path.write_text(json.dumps(content))
    subject = read(foreign)
    np.testing.assert_allclose(subject.viewmats, own_viewmats, atol=1e-4)
    assert has_note(subject, "no track_params.pt") and not len(subject.vertices)
    assert has_note(subject, "taken as decimetres") == (factor == 10)


def test_frames_as_png_and_a_plate_of_another_size(foreign: Path):
    for path in list((foreign / "ori_imgs").glob("*.jpg")):
        cv2.imwrite(str(path.with_suffix(".png")), cv2.imread(str(path)))
        path.unlink()
    plate = cv2.imread(str(foreign / "bc.jpg"))
    before = load_frame(read(foreign), 3)
    cv2.imwrite(str(foreign / "bc.jpg"), cv2.resize(plate, (96, 96), interpolation=cv2.INTER_CUBIC))
    subject = read(foreign)
    after = load_frame(subject, 3)
    assert has_note(subject, "bc.jpg is 96x96 pixels and the frames 48x48")
    np.testing.assert_array_equal(after["original"], before["original"])
    assert np.abs(after["background"].astype(int) - before["background"]).mean() < 3


def test_exchanged_colours_of_the_parsing_are_noticed(foreign: Path):
    expected = load_frame(read(foreign), 5)["head_mask"]
    for path in (foreign / "parsing").glob("*.png"):
        cv2.imwrite(str(path), cv2.imread(str(path))[..., ::-1])
    subject = read(foreign)
    assert has_note(subject, "red and blue exchanged") and expected.any()
    np.testing.assert_array_equal(load_frame(subject, 5)["head_mask"], expected)


def test_carved_start_points_lie_on_the_head(source: Path, tmp_path: Path):
    LAYOUTS["instag"].write(source, tmp_path / "f")
    data = PortraitDataModule(str(tmp_path / "f"), ["aud_eo.npy"], 44, 16)
    data.prepare()
    subject = data.subject
    assert 500 < len(subject.vertices) <= 48 * 48 and subject.vertex_colors.shape == subject.vertices.shape
    for position in (0, 7, 11):  # the last one is held out and was not looked at
        pixels, _ = project(
            torch.from_numpy(subject.vertices),
            torch.from_numpy(subject.viewmats[position]).float(),
            torch.from_numpy(subject.K),
        )
        columns, rows = pixels.floor().long().clamp(0, 47).T.numpy()
        mask = load_frame(subject, int(subject.frame_ids[position]))["head_mask"]
        assert mask[rows, columns].mean() > 0.9
        covered = cv2.dilate(
            (np.histogram2d(rows, columns, 48, [[0, 48]] * 2)[0] > 0).astype(np.uint8), np.ones((5, 5))
        )
        assert covered[mask].mean() > 0.95
    front = subject.vertices[:, 2] > 0
    distance = np.linalg.norm(subject.vertices[front] / RADII, axis=1)
    assert 0.7 < np.median(distance) < 1.2  # a head of the right depth, though silhouettes hardly show it


def test_masks_without_a_head_are_an_error(foreign: Path):
    content = torch.load(foreign / "track_params.pt", weights_only=True)
    torch.save({name: value for name, value in content.items() if name != "vertices"}, foreign / "track_params.pt")
    for path in (foreign / "parsing").glob("*.png"):
        cv2.imwrite(str(path), np.full((48, 48, 3), 255, np.uint8))
    with pytest.raises(UserError, match=r"parsing/0.png marks no pixel as head \(pure blue\): make the masks again"):
        PortraitDataModule(str(foreign), ["aud_ds.npy"], 29, 16).prepare()
    with pytest.raises(UserError, match=r"no start points could be carved .* do not agree on a head"):
        with_head_cloud(read_subject(foreign, ["aud_ds.npy"], 29, 16))


def test_no_parsing_says_what_it_is_for(foreign: Path):
    shutil.rmtree(foreign / "parsing")
    with pytest.raises(UserError, match=r"parsing is missing: its colour-coded maps say which pixels are head"):
        read(foreign)
